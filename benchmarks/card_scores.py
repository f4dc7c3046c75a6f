"""The measured parts of a model card: scores, pictures, slices, failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from card_tables import PARTIES, percent, share_text, shares_of, table

from ctiforge.sources.cwe import CweCatalogue

__all__ = ["failure_blocks", "picture_blocks", "score_blocks", "slice_blocks"]

_WORST = 8


def score_blocks(results: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """Return the tables of scores on the benchmark and on the dated splits."""
    rcm, dated = results["cti_rcm"], results["dated"]
    return [
        f"CTI-Bench cti-rcm ({rcm['n']:,} items of NVD's labels, SHA-256 `{rcm['data_sha256'][:12]}`), with 95 % intervals over the items. "
        f"Always answering its commonest label scores {rcm['majority_baseline']:.3f}; {percent(1 - rcm['allowed_only']['best_possible'], 1)} of "
        "its golds are entries that MITRE discourages, which policy mitre never gives.",
        _benchmark(rcm),
        f"Macro F1 over the {rcm['macro_f1_labels_with_5_items']['labels']} gold labels with 5 items or more: "
        f"{share_text(rcm['macro_f1_labels_with_5_items'])}; over all {rcm['macro_f1']['labels']}: {share_text(rcm['macro_f1'])} "
        "(policy nvd).",
        f"CVEs in order of time: trained before {dated['trained_before']}; chosen and calibrated on the development split "
        f"({dated['development']['from']} to {dated['development']['until']}); never shown the forward split (from "
        f"{dated['forward']['from']}). Right is any of the entries that the CNA, else CISA, else NVD assigned.",
        _dated(dated),
        *([_paired(dated["forward"]["paired"])] if "paired" in dated["forward"] else []),
        *_parts_alone(manifest),
    ]


def _benchmark(rcm: Mapping[str, Any]) -> str:
    allowed, nvd = rcm["allowed_only"], rcm["selective"]
    mitre = allowed["selective"]
    rows = [
        ["strict top-1", share_text(rcm["top1"]), share_text(allowed["all_items"])],
        ["among the first 3", share_text(rcm["top3"]), share_text(allowed["top3"])],
        ["among the first 5", share_text(rcm["top5"]), share_text(allowed["top5"])],
        ["top-1, or its ancestor or descendant in View-1000", share_text(rcm["hierarchy_top1"]), "–"],
        ["top-1 of the golds that MITRE allows", "–", share_text(allowed["items_with_suggestable_gold"])],
        [
            "calibration error, 15 bins",
            f"{rcm['calibration_error_15_bins']:.3f}",
            f"{allowed['calibration_error_15_bins']:.3f}",
        ],
        [
            "answered at its own threshold",
            f"{percent(nvd['coverage'], 1)} (from {nvd['threshold']:g})",
            f"{percent(mitre['coverage'], 1)} (from {mitre['threshold']:g})",
        ],
        ["right of these", share_text(nvd["accuracy_of_answers"]), share_text(mitre["accuracy_of_answers"])],
    ]
    return table(["cti-rcm", "policy nvd", "policy mitre"], rows)


def _dated(dated: Mapping[str, Any]) -> str:
    splits = [dated["development"], dated["forward"]]
    own = [split["policy_mitre"]["selective"] for split in splits]
    rows = [
        ["top-1, every weakness", *(share_text(split["any"]) for split in splits)],
        ["among the first 3", *(share_text(split["any_top3"]) for split in splits)],
        ["top-1 is the party's first entry", *(share_text(split["first"]) for split in splits)],
        ["top-1, policy mitre", *(share_text(split["policy_mitre"]["any"]) for split in splits)],
        ["calibration error, 15 bins", *(f"{split['calibration_error_15_bins']:.3f}" for split in splits)],
        ["answered at its own threshold, policy mitre", *(percent(each["coverage"], 1) for each in own)],
        ["right of these", *(share_text(each["accuracy_of_answers"]) for each in own)],
        ["CVEs whose entries it does not know", *(f"{split['labels_the_model_does_not_know']:,}" for split in splits)],
    ]
    return table(
        [
            "later CVEs",
            *(f"{name}, n = {split['n']:,}" for name, split in zip(("development", "forward"), splits, strict=True)),
        ],
        rows,
    )


def _paired(found: Mapping[str, Any]) -> str:
    return (
        f"Against `{found['against']}` (`{found['against_digest'][:12]}`) on the same {found['n']:,} forward CVEs: {shares_of(found)} points; "
        f"right where the other is not {found['only_ours_right']:,} times, the other way round {found['only_theirs_right']:,} times, "
        f"McNemar's exact test p = {found['mcnemar_p']:g}."
    )


def _parts_alone(manifest: Mapping[str, Any]) -> list[str]:
    development = manifest["development"]
    if "parts_alone" not in development:
        return []
    rows = [
        [{"second": "second encoder"}.get(name, name), f"{each['top1']:.4f}", f"{each['top3']:.4f}", f"{each['macro_f1']:.4f}"]
        for name, each in [*development["parts_alone"].items(), ("the blend", development)]
    ]
    return [
        "What each part scores alone on the development split, where the blend was fitted:",
        table(["", "top-1", "top-3", "macro F1"], rows),
    ]


def picture_blocks(results: Mapping[str, Any], pictures: Mapping[str, str]) -> list[str]:
    """Return the pictures, each with its caption, and the curve's ends in words."""
    curve = results["cti_rcm"]["coverage_curve"]
    at = {point["coverage"]: point["accuracy"] for point in curve}
    forward = {point["coverage"]: point["accuracy"] for point in results["dated"]["forward"]["coverage_curve"]}
    named = [share for share in (0.25, 0.5, 0.75, 1.0) if share in at and share in forward]
    rows = [[percent(share), f"{at[share]:.3f}", f"{forward[share]:.3f}"] for share in named]
    return [
        *(f"![{caption.partition(',')[0]}]({name})\n\n{caption}" for name, caption in pictures.items()),
        table(["answered, the surest first", "right, cti-rcm (policy nvd)", "right, later CVEs"], rows),
    ]


def slice_blocks(results: Mapping[str, Any]) -> list[str]:
    """Return the accuracy by year, party and CNA."""
    rcm, dated = results["cti_rcm"], results["dated"]
    rows = [[f"cti-rcm, {_years(year)}", share] for year, share in rcm["by_year"].items()]
    rows += [[f"cti-rcm, {_cna(cna)}", share] for cna, share in rcm["by_cna"].items()]
    for name in ("development", "forward"):
        rows += [[f"{name}, {_years(year)}", share] for year, share in dated[name]["by_year"].items()]
        rows += [
            [f"{name}, labelled by {PARTIES.get(party, party)}", share] for party, share in dated[name]["by_party"].items()
        ]
    return [
        table(["slice", "n", "top-1, 95 % interval"], [[name, f"{share['n']:,}", share_text(share)] for name, share in rows]),
        f"Years are those in the CVE IDs. The CNA is known of CVEs that {rcm['cna_feed']} holds; the feed that the later CVEs are from does not "
        "name it. Years with few items and CNAs with few items are put together.",
    ]


def _years(year: str) -> str:
    return "CVEs of other years" if year == "others" else f"CVEs of {year}"


def _cna(cna: str) -> str:
    return {"others": "other CNAs", "not in the feed": "CNA not known"}.get(cna, f"CNA {cna}")


def failure_blocks(results: Mapping[str, Any], catalogue: CweCatalogue) -> list[str]:
    """Return the labels that go wrong most often, and the commonest confusions."""
    rcm = results["cti_rcm"]
    worst = sorted(rcm["labels_with_10_items"].items(), key=lambda item: item[1]["right"] / item[1]["n"])[:_WORST]
    labels = [
        [
            _named(label, catalogue),
            f"{each['right']} of {each['n']}",
            ", ".join(f"{cwe_id} ({n})" for cwe_id, n in each["instead"]) or "–",
        ]
        for label, each in worst
    ]
    confusions = [
        [
            _named(each["gold"], catalogue),
            _named(each["answer"], catalogue),
            f"{each['times']}",
            _relation(each["gold"], each["answer"], catalogue),
        ]
        for each in rcm["commonest_confusions"]
    ]
    return [
        "Gold labels of cti-rcm with 10 items or more that it gets wrong most often (policy nvd):",
        table(["gold", "right", "said instead"], labels),
        "The commonest confusions there:",
        table(["gold", "answer", "times", "the answer is"], confusions),
        f"Golds that it does not know at all: {rcm['golds_the_model_does_not_know']}. It sees words, not code: a probability is about what "
        "the CVE's parties would assign. One gold an item is counted here, though several entries may be right.",
    ]


def _named(cwe_id: str, catalogue: CweCatalogue) -> str:
    return f"{cwe_id} {catalogue[cwe_id].name}" if cwe_id in catalogue else cwe_id


def _relation(gold: str, answer: str, catalogue: CweCatalogue) -> str:
    if answer not in catalogue or gold not in catalogue:
        return "–"
    if answer in catalogue.ancestors(gold):
        return "more general"
    return "more specific" if gold in catalogue.ancestors(answer) else "another one"
