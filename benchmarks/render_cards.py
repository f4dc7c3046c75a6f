"""Render the model cards in docs/models from the manifests of the shipped models and from benchmarks/results.

.venv/bin/python benchmarks/render_cards.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ctiforge.classify.classifier import bundled_model_path
from ctiforge.core.files import write_text

__all__ = ["card_path", "main", "render_card"]

ROOT = Path(__file__).parent.parent
MODELS = ("fast", "accurate")
_WATTS = "no meter was at hand: energy is not measured"


def main() -> None:
    for model in MODELS:
        results = load_results(model)
        write_text(card_path(model), render_card(model, manifest_of(model), results))
        draw(model, results)


def card_path(model: str) -> Path:
    return ROOT / "docs" / "models" / f"{model}.md"


def manifest_of(model: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundled_model_path(model) / "manifest.json").read_bytes())
    return found


def load_results(model: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"classifier-{model}.json").read_bytes())
    return found


def render_card(model: str, manifest: dict[str, Any], results: dict[str, Any]) -> str:
    """Return the card, in Markdown."""
    rcm, dated = results["cti_rcm"], results["dated"]
    sections = [
        f"# Model card: `{model}`",
        "<!-- Made by benchmarks/render_cards.py from the model's manifest and benchmarks/results. Do not edit. -->",
        manifest["description"],
        f"SHA-256 of the manifest, which names that of every file: `{rcm['model_digest']}`. Licence {manifest['licence']}. "
        f"{len(manifest['labels'])} CWE entries; catalogue {manifest['cwe_version']}.",
        "## Use",
        "Suggests weaknesses (CWE) for descriptions of vulnerabilities in English, for a person who decides. It reads the "
        "description only. It is not meant to act without a person, to find vulnerabilities, to write exploits, or to read other "
        "languages. Entries that its training data hold fewer than three times are never suggested.",
        "## What it learnt",
        *_training(model, manifest),
        "## Scores",
        *_scores(rcm, dated),
        f"![Calibration and coverage](../assets/models/{model}.svg)",
        "Left: how often the first suggestion is right, by its probability, on CVEs later than anything the model was made with. "
        "Right: the accuracy on cti-rcm of the answers that the model is surest of, by the share of items answered.",
        "## Slices",
        *_slices(rcm, dated),
        "## Known failures",
        *_failures(rcm),
        "## Cost",
        *_cost(results),
        "## Make it again",
        *_again(model, dated),
    ]
    return "\n\n".join(sections) + "\n"


def _training(model: str, manifest: dict[str, Any]) -> list[str]:
    parts = [("it", manifest)]
    if model == "accurate":
        encoder = json.loads((bundled_model_path(model) / "encoder" / "manifest.json").read_bytes())
        parts = [("the encoder", encoder)]
        weights, sure = manifest["weights"], manifest["sure"]
        intro = (
            f"A blend of an encoder ({encoder['base_model']['name']}, {encoder['base_model']['licence']}) and of `fast` "
            f"({manifest['parts']['linear']['digest'][:12]}): log-probabilities added with weights {weights['encoder']:.2f} and "
            f"{weights['linear']:.2f}. Where `fast` gives a probability of {sure:g} or more, it answers alone."
        )
    else:
        intro = "A linear model and a hidden layer over word n-grams."
        if "teacher" in manifest:
            taught = manifest["examples"]["taught"]
            intro += (
                f" It also learnt what the encoder of `accurate` ({manifest['teacher']['digest'][:12]}) says of {taught:,} "
                "descriptions that nobody labelled."
            )
    lines = [intro]
    for who, each in parts:
        examples = each["examples"]
        left = ", ".join(f"{reason} {n:,}" for reason, n in sorted(each["left_out"].items()))
        sources = "\n".join(
            f"| {entry['path']} | {entry.get('licence', '–')} | `{entry['sha256'][:12]}` | {entry['use']} |"
            for entry in each["data"]
        )
        lines += [
            f"{examples['train']:,} examples before {each['recipe']['split']['development_from']} for {who}; calibrated on "
            f"{examples['development']:,} of the three months after. Left out: {left}.",
            f"| file | licence | SHA-256 | use |\n|---|---|---|---|\n{sources}",
        ]
    lines.append(
        "No CVE of CTI-Bench was learnt: not by ID, not by normalised text, not as a near-duplicate (Jaccard index of word sets "
        f"{manifest['recipe']['near_duplicate']}), and no text of whose word 8-grams more than {manifest['recipe']['shared_phrases']:.0%} "
        "stand in one benchmark text. So the scores below are also those of the stricter reading of 'clean'."
    )
    return lines


def _scores(rcm: dict[str, Any], dated: dict[str, Any]) -> list[str]:
    allowed, own = rcm["allowed_only"], rcm["selective"]
    rows = [
        ("cti-rcm, strict top-1, policy nvd", _share(rcm["top1"])),
        ("cti-rcm, among the first 3", _share(rcm["top3"])),
        ("cti-rcm, among the first 5", _share(rcm["top5"])),
        ("cti-rcm, or an ancestor or descendant in View-1000", _share(rcm["hierarchy_top1"])),
        ("cti-rcm, policy mitre, all items", _share(allowed["all_items"])),
        ("cti-rcm, policy mitre, golds that MITRE allows", _share(allowed["items_with_suggestable_gold"])),
        (
            f"cti-rcm, answers at its own threshold ({own['threshold']:g}; {own['coverage']:.1%} answered)",
            _share(own["accuracy_of_answers"]),
        ),
        ("cti-rcm, macro F1, golds with 5 items or more", f"{rcm['macro_f1_labels_with_5_items']:.3f}"),
        ("cti-rcm, calibration error (15 bins)", f"{rcm['calibration_error_15_bins']:.3f}"),
    ]
    for name in ("development", "forward"):
        split = dated[name]
        rows += [
            (f"{name} from {split['from']}, n = {split['n']:,}, top-1", _share(split["any"])),
            (f"{name}, among the first 3", _share(split["any_top3"])),
            (f"{name}, policy mitre, top-1", _share(split["policy_mitre_any"])),
            (f"{name}, calibration error (15 bins)", f"{split['calibration_error_15_bins']:.3f}"),
        ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return [
        f"cti-rcm: {rcm['n']:,} items, SHA-256 `{rcm['data_sha256'][:12]}`, every item answered. 95 % intervals over items.",
        f"| measure | value |\n|---|---|\n{table}",
    ]


def _slices(rcm: dict[str, Any], dated: dict[str, Any]) -> list[str]:
    rows = [(f"cti-rcm, CVEs of {year}", share) for year, share in rcm["by_year"].items()]
    for name in ("development", "forward"):
        rows += [(f"{name}, labelled by {party}", share) for party, share in dated[name]["by_party"].items()]
    table = "\n".join(f"| {name} | {share['n']:,} | {_share(share)} |" for name, share in rows)
    return [
        f"| slice | n | top-1 |\n|---|---|---|\n{table}",
        "The later CVEs come without the name of their CNA, so there is no slice by CNA.",
    ]


def _failures(rcm: dict[str, Any]) -> list[str]:
    worst = sorted(rcm["labels_with_10_items"].items(), key=lambda item: item[1]["right"] / item[1]["n"])[:8]
    rows = "\n".join(
        f"| {label} | {each['right']} of {each['n']} | {', '.join(f'{cwe_id} ({n})' for cwe_id, n in each['instead']) or '–'} |"
        for label, each in worst
    )
    return [
        "Gold labels of cti-rcm with ten items or more that it gets wrong most often, and what it says instead:",
        f"| gold | right | instead |\n|---|---|---|\n{rows}",
    ]


def _cost(results: dict[str, Any]) -> list[str]:
    feed, cold, install = results["feed"], results["cold_start"], results["install"]
    machine = feed["machine"]
    return [
        f"{feed['records_per_second']:,} records a second from {feed['data']} to JSON Lines ({feed['records']:,} records), "
        f"{feed['peak_rss_mb_all_processes']:,} MB in all processes; one text in a new process {cold['median_s']:.2f} s (median of "
        f"{cold['runs']}); {install['site_packages_mb']:.0f} MB of site-packages. {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}. Energy: {_WATTS}."
    ]


def _again(model: str, dated: dict[str, Any]) -> list[str]:
    commands = [
        "ctiforge train encoder --recipe encoder-accurate --data DIR --out runs/accurate",
        "ctiforge train classifier --recipe classifier-fast --data DIR --out runs/fast --teacher runs/accurate",
    ]
    if model == "accurate":
        commands.append("ctiforge train blend --encoder runs/accurate --linear runs/fast --data DIR --out runs/blend")
    return ["```console\n" + "\n".join(f"$ {each}" for each in commands) + "\n$ make bench\n```"]


def draw(model: str, results: dict[str, Any]) -> None:
    """Draw the calibration and the coverage curve."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "ctiforge", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    bins = results["dated"]["forward"]["reliability"]
    left.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    left.plot([each["probability"] for each in bins], [each["right"] for each in bins], marker="o", color="#1b6ca8")
    left.set(
        xlabel="probability of the first suggestion",
        ylabel="share that is right",
        xlim=(0, 1),
        ylim=(0, 1),
        title="Calibration, later CVEs",
    )
    curve = results["cti_rcm"]["coverage_curve"]
    right.plot([each["coverage"] for each in curve], [each["accuracy"] for each in curve], marker="o", color="#1b6ca8")
    right.set(
        xlabel="share of items answered",
        ylabel="accuracy",
        xlim=(0, 1.02),
        ylim=(0.5, 1.01),
        title="Coverage and accuracy, cti-rcm",
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    target = ROOT / "docs" / "assets" / "models" / f"{model}.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})
    pyplot.close(figure)


def _share(share: dict[str, float]) -> str:
    return f"{share['value']:.3f} ({share['ci95_low']:.3f}-{share['ci95_high']:.3f})"


if __name__ == "__main__":
    main()
