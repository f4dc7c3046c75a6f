"""The text of a model card: every number comes from the model's manifests, its files and its result file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from card_encoder import cheaper_states, encoder_commands, encoder_origin, linear_commands
from card_scores import failure_blocks, picture_blocks, score_blocks, slice_blocks
from card_tables import PARTIES, megabytes, percent, shares_of, table

from ctiforge.sources.cwe import CweCatalogue

__all__ = ["SECOND", "CardSubject", "PartFile", "render_card"]

_MADE_BY = "<!-- Made by benchmarks/render_cards.py from the model's manifests and from benchmarks/results. Change these, or the script. -->"
_RARE = 10
_LEFT_OUT = {
    "benchmark_exact_id": "its CVE is named in a benchmark file",
    "benchmark_exact_text": "its text is a benchmark's, apart from case, spaces and punctuation",
    "benchmark_near_duplicate": "its set of words is nearly that of a benchmark text",
    "benchmark_shared_phrases": "it shares most of its word 8-grams with one benchmark text",
    "no_usable_label": "no party named a live weakness that MITRE does not prohibit for mapping",
    "record_cve_rejected": "the record was withdrawn",
    "record_without_cve_id": "the record has no CVE ID",
    "text_too_short": "there is next to no text",
    "undated_text_names_later_year": "a text without a date names a year after the cut",
}


SECOND = "second encoder"
"""What the part of a blend is called that reads the first encoder's embeddings."""


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file of a model folder: its path there, its size in bytes, its SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CardSubject:
    """What a card is made of.

    Attributes:
        manifest: the model's own.
        parts: manifests with data and examples: the model's own under an empty name, or those of a blend's parts by name.
        results: the result file, by part of the measurement.
    """

    name: str
    manifest: dict[str, Any]
    parts: dict[str, dict[str, Any]]
    files: list[PartFile]
    results: dict[str, Any]

    @property
    def is_blend(self) -> bool:
        """Whether the model is a blend of an encoder with a linear model."""
        return "encoder" in self.parts


def render_card(subject: CardSubject, pictures: Mapping[str, str], catalogue: CweCatalogue) -> str:
    """Return the card, in Markdown.

    Args:
        pictures: captions by file name.
        catalogue: for the names of entries.
    """
    blocks = [
        f"# Model card: `{subject.name}`",
        _MADE_BY,
        subject.manifest["description"],
        *_facts(subject),
        "## What it is for",
        *_use(subject),
        "## How it answers",
        *_method(subject),
        "## What it learnt from",
        *_data(subject),
        "## What was left out, and why",
        *_left_out(subject),
        "## Scores",
        *score_blocks(subject.results, subject.manifest),
        "## Calibration and coverage",
        *picture_blocks(subject.results, pictures),
        "## Slices",
        *slice_blocks(subject.results),
        "## Known failures",
        *failure_blocks(subject.results, catalogue),
        "## Cost",
        *_cost(subject),
        "## Make it again",
        *_again(subject),
    ]
    return "\n\n".join(blocks) + "\n"


def _facts(subject: CardSubject) -> list[str]:
    manifest, own = subject.manifest, sum(file.size for file in subject.files)
    size = f"{megabytes(own)} in {len(subject.files)} files"
    if subject.is_blend and not any(file.path.startswith("linear/") for file in subject.files):
        size += f", and the files of `{subject.parts['linear']['name']}`, which it uses"
    rows = [
        [
            "digest",
            f"SHA-256 `{subject.results['cti_rcm']['model_digest']}` of manifest.json, which names that of every other file",
        ],
        ["format", f"`{manifest['format']}`"],
        ["answers with", f"{len(manifest['labels'])} weaknesses of CWE {manifest['cwe_version']}"],
        ["size", size],
        ["licence", f"{manifest['licence']}; of the data: see below"],
        ["made by", f"ctiforge {manifest['ctiforge']}, revision `{(manifest['git_revision'] or 'unknown')[:12]}`"],
    ]
    return [table(["", ""], rows)]


def _use(subject: CardSubject) -> list[str]:
    rare = min(part["recipe"]["min_examples"] for part in subject.parts.values())
    return [
        "It ranks CWE entries for the description of a vulnerability, so that the person who maps the CVE has a place to start from: "
        "in vulnerability management, at a CNA or PSIRT, when labelling a backlog that NVD has not enriched. It runs offline on a CPU. "
        "Each answer has a calibrated probability and the words that spoke for it; where the text does not say enough, the answer is "
        "'not enough information', with a reason.",
        "Out of scope:",
        "\n".join(
            [
                "- deciding without a person: suggestions are advice, and several entries may be right;",
                "- finding vulnerabilities, rating their severity, or anything about exploits: it reads the description and nothing else;",
                "- languages other than English;",
                f"- entries with fewer than {rare} examples in the training data: they are never its answer;",
                "- judging how good a CNA's labels are: it learnt from them, mistakes and fashions included.",
            ]
        ),
    ]


def _method(subject: CardSubject) -> list[str]:
    manifest = subject.manifest
    threshold = manifest["threshold"]
    precision = manifest["recipe"]["target_precision"]
    blocks = [_blend_method(subject)] if subject.is_blend else []
    linear = subject.parts["linear" if subject.is_blend else ""]
    hidden = linear["recipe"].get("hidden")
    said = f"{'Its linear part, ' if subject.is_blend else ''}`{linear['name']}`{', ' if subject.is_blend else ' '}"
    said += "adds up weights of word stems and pairs of stems in 8 bits"
    said += f", with {hidden['units']} hidden units beside them." if hidden else "."
    if teachers := linear.get("teachers"):
        named = " and ".join(f"`{each['name']}` (`{each['digest'][:12]}`)" for each in teachers)
        said += (
            f" It also learnt what {named}, blends of an encoder and an earlier linear model, "
            f"{'say on average' if len(teachers) > 1 else 'says'} of {linear['examples']['taught']:,} descriptions that nobody had "
            "labelled."
        )
    blocks.append(said)
    blocks.append(
        f"It abstains below a probability of {threshold['mitre']:g} under policy mitre (the default: only entries that MITRE allows for "
        f"mapping) and {threshold['nvd']:g} under policy nvd (every weakness, by the habits of NVD's analysts): the lowest at which "
        f"{percent(precision)} of the answers were right on the development splits."
    )
    return blocks


def _blend_method(subject: CardSubject) -> str:
    manifest, encoder, linear = subject.manifest, subject.parts["encoder"], subject.parts["linear"]
    base, fit = encoder["base_model"], encoder["fit"]
    left = manifest["development"]["left_to_the_linear_model"]
    return (
        f"A blend of two models. `{linear['name']}` answers first; where its probability is below {manifest['sure']:g}, an encoder reads "
        f"the text as well (all but {percent(left)} of the development split), and their log-probabilities are added with weights "
        f"{manifest['weights']['linear']:.2f} and {manifest['weights']['encoder']:.2f}. The encoder is {encoder_origin(encoder['recipe'])} "
        f"({base['licence']}, `{base['digest'][:12]}`), fine-tuned in {fit['steps']:,} steps ({fit['device']}, {fit['precision']}), "
        f"{encoder['max_length']} tokens a text, {base['vocabulary']:,} word pieces, weights in 8 bits."
        + cheaper_states(encoder["recipe"])
        + _second_method(subject)
    )


def _second_method(subject: CardSubject) -> str:
    """Return sentences about the second encoder, with a space before them; empty where there is none."""
    if SECOND not in subject.parts:
        return ""
    settings, second = subject.manifest["second"], subject.parts[SECOND]
    weights = settings["weights"]
    return (
        f" Where the highest probability of these two is below {settings['unsure']['mitre']:g} "
        f"({percent(subject.manifest['development']['read_by_the_second_encoder'])} of the development split), under policy nvd below "
        f"{settings['unsure']['nvd']:g}, a second encoder reads the "
        f"embeddings of the first, and the three are added with weights {weights['linear']:.2f}, {weights['encoder']:.2f} and "
        f"{weights['second']:.2f}. It is {encoder_origin(second['recipe'])}, too, fine-tuned in {second['fit']['steps']:,} steps "
        f"({second['fit']['device']}, {second['fit']['precision']}) without learning the embeddings, weights in 8 bits. "
        "States are merged as in the first."
    )


def _data(subject: CardSubject) -> list[str]:
    used: dict[tuple[str, str], list[str]] = {}
    licence: dict[str, str] = {}
    for name, part in subject.parts.items():
        for entry in part["data"]:
            use = entry["use"] if entry["use"] != "train" else "learnt from" + (f" ({name})" if name else "")
            used.setdefault((entry["path"], entry["sha256"]), []).append(use)
            made = "made from the files above" if "teacher" in entry["use"] else "read to leave it out"
            licence.setdefault(entry["path"], entry.get("licence", made))
    rows = [[path, licence[path], ", ".join(dict.fromkeys(uses)), f"`{digest[:12]}`"] for (path, digest), uses in used.items()]
    blocks = [table(["file", "licence", "use", "SHA-256"], rows), _counts(subject)]
    for name, part in subject.parts.items():
        by_label: dict[str, int] = part["examples"]["by_label"]
        common = ", ".join(f"{label} {n:,}" for label, n in sorted(by_label.items(), key=lambda item: -item[1])[:5])
        rare = sum(n < _RARE for n in by_label.values())
        blocks.append(
            f"{'The ' + name + ' part' if name else 'It'} learnt {len(by_label)} labels; the commonest are {common}; {rare} have fewer than "
            f"{_RARE} examples. A CVE's labels are those of its CNA, of CISA and of NVD, whichever gave some: the most telling entries of "
            "each. In scores, those of the CNA count, else CISA's, else NVD's."
        )
        if subject.is_blend:
            blocks[-1] = blocks[-1].partition(" A CVE's labels")[0]
    if subject.is_blend:
        blocks.append(
            "A CVE's labels are those of its CNA, of CISA and of NVD, whichever gave some: the most telling entries of each. In scores, those "
            "of the CNA count, else CISA's, else NVD's."
        )
    return blocks


def _counts(subject: CardSubject) -> str:
    head = ["examples", *(name or "n" for name in subject.parts)]
    parts = [part["examples"] for part in subject.parts.values()]
    split = subject.manifest["recipe"]["split"]
    rows = [[f"learnt, before {split['development_from']}", *(f"{each['train']:,}" for each in parts)]]
    for party in sorted({party for each in parts for party in each["by_party"]}):
        rows.append(
            [f"of these labelled by {PARTIES.get(party, party)}", *(f"{each['by_party'].get(party, 0):,}" for each in parts)]
        )
    if any(_taught(part) != "0" for part in subject.parts.values()):
        rows.append(["descriptions labelled by a teacher", *(_taught(part) for part in subject.parts.values())])
    rows.append(
        [f"chosen and calibrated on, until {split['test_from']}", *(f"{each['development']:,}" for each in parts)],
    )
    for i, window in enumerate(split["windows"]):
        what = f"{PARTIES.get(window['party'], window['party'])}'s labels of {window['since']} to {window['until']}, for policy {window['party']}"
        rows.append([what, *(f"{each['windows'][i]:,}" for each in parts)])
    rows.append(["later, never learnt: the forward split", *(f"{each['later']:,}" for each in parts)])
    return table(head, rows)


def _taught(part: Mapping[str, Any]) -> str:
    if "taught" in part["examples"]:
        return f"{part['examples']['taught']:,}"
    since = (part["recipe"].get("teacher") or {}).get("unlabelled_since")
    return f"all without a label since {since}" if since else "0"


def _left_out(subject: CardSubject) -> list[str]:
    counts = {name: part["left_out"] for name, part in subject.parts.items()}
    reasons = [each for each in _LEFT_OUT if any(each in found for found in counts.values())]
    reasons += sorted({each for found in counts.values() for each in found} - set(reasons))
    rows = [
        [_LEFT_OUT.get(each, each.replace("_", " ")), *(f"{found.get(each, 0):,}" for found in counts.values())]
        for each in reasons
    ]
    blocks = [table(["a record or CVE was left out because", *(name or "n" for name in counts)], rows)]
    for rule in subject.results["cti_rcm"]["held_out"]:
        who = {"encoder": "the encoder", "second-encoder": f"the {SECOND}"}.get(rule.get("kind"), f"`{rule['part']}`")
        jaccard, shared = rule["near_duplicate_jaccard"], rule["shared_8_grams_above"]
        near = f"no text whose set of words has a Jaccard index of {jaccard:g} or more with a benchmark text" if jaccard else ""
        phrases = f"no text of whose word 8-grams more than {percent(shared)} stand in one benchmark text" if shared else ""
        blocks.append(
            f"No CVE that is named in CTI-Bench's files taught {who} (`{rule['digest'][:12]}`), and no text equal to one of theirs"
            + "".join(f"; {each}" for each in (near, phrases) if each)
            + ("." if phrases else ". Texts that share phrases with benchmark texts, but not most words, were not left out.")
        )
    return blocks


def _cost(subject: CardSubject) -> list[str]:
    results = subject.results
    feed, cold, install, machine = (results["feed"], results["cold_start"], results["install"], results["feed"]["machine"])
    first = f", its first {feed['first_records_only']:,} records" if feed.get("first_records_only") else ""
    rows = [
        [
            f"records a second, from {feed['data']}{first} to JSON Lines",
            f"{feed['records_per_second']:,} (n = {feed['records']:,})",
        ],
        ["memory of all processes together", f"{feed['peak_rss_mb_all_processes']:,} MB"],
        [
            "one text in a new process, median (slowest)",
            f"{cold['median_s']:.2f} s ({cold['max_s']:.2f} s), n = {cold['runs']}",
        ],
        ["site-packages after installing, without torch", f"{install['site_packages_mb']:.0f} MB"],
    ]
    blocks = [
        table(["", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"], rows)
    ]
    if "side_by_side" in results:
        blocks.append(_side_by_side(results["side_by_side"]))
    if "int8" in results:
        blocks.append(_int8(results["int8"]))
    blocks.append(_energy(results.get("energy", {})))
    files = [[file.path, megabytes(file.size), f"`{file.sha256[:12]}`"] for file in subject.files]
    blocks.append(table(["file", "size", "SHA-256"], files))
    return blocks


def _side_by_side(found: dict[str, Any]) -> str:
    ours, theirs = found["ours"], found["transformers_roberta_base_size"]
    return (
        f"Beside transformers' text-classification pipeline on a RoBERTa of base size ({theirs['parameters'] / 1e6:.0f} million random "
        f"weights, {theirs['precision']}, {theirs['threads']} threads, tokenizer: {theirs['tokenizer']}), on the same descriptions in one "
        f"run: {ours['per_second']:,.0f} a second from records to JSON Lines, the start included (n = {ours['n']:,}), against "
        f"{theirs['per_second']:.1f} (n = {theirs['n']:,}, loaded and warm): {found['ratio']:.0f} times as fast."
    )


def _int8(found: dict[str, Any]) -> str:
    export = found["export"]["int8"]
    said = (
        f"Weights in 8 bits against fp32: on the development split ({export['texts']:,} texts) the encoder's top-1 is {export['top1_int8']:.4f} "
        f"against {export['top1_fp32']:.4f}, and {percent(export['same_first'], 1)} of first answers are the same."
    )
    if found["cti_rcm"]:
        for name, who in (("blend", "the whole model"), ("encoder_alone", "the encoder alone")):
            each = found["cti_rcm"][name]
            points = each["int8_against_fp32"]
            said += (
                f" On cti-rcm, policy nvd, {who}: {each['int8_top1']['value']:.3f} against {each['fp32_top1']['value']:.3f} "
                f"({shares_of(points)} points, p = {points['mcnemar_p']:g})."
            )
    return said


def _energy(found: dict[str, Any]) -> str:
    if "watt_hours_per_1000_records" not in found:
        return "Energy: not measured."
    said = (
        f"Energy: **an estimate**, no meter was at hand. {found['cpu_seconds_per_1000_records']:.1f} processor seconds for 1,000 records, times "
        f"{found['watts_per_core']:g} W a core, which is {found['assumed']}: {found['watt_hours_per_1000_records']:.4f} Wh for 1,000 records."
    )
    training = found.get("training_of_the_encoder")
    if training and training.get("device", "cpu") != "cpu":
        said += (
            f" The encoder's last fit took {60 * training['wall_hours']:.0f} minutes ({training['device']}), which is no part of "
            "the estimate, nor are its teacher and the fits that it goes on from."
        )
    elif training:
        said += (
            f" The encoder's training took {training['wall_hours']:.1f} hours in {training['threads']} threads: at most "
            f"{training['core_hours_at_most']:.1f} core hours, {training['watt_hours']:.0f} Wh by the same estimate."
        )
    return said


def _again(subject: CardSubject) -> list[str]:
    linear = subject.parts["linear" if subject.is_blend else ""]
    reader = subject.parts["encoder"]["recipe"] if subject.is_blend else None
    teachers = linear.get("teachers", [])
    own = encoder_commands(reader, [each["name"] for each in teachers]) if reader else []
    if SECOND in subject.parts:
        own += encoder_commands(subject.parts[SECOND]["recipe"], [each["name"] for each in teachers])
    commands = list(dict.fromkeys([*linear_commands(teachers), *own]))
    if reader:
        blend = f"--encoder runs/{reader['name']} --linear runs/fast"
        if SECOND in subject.parts:
            sure, unsure = subject.manifest["sure"], subject.manifest["second"]["unsure"]
            by_hand = f"--sure {sure:g} --unsure {unsure['mitre']:g} --unsure-nvd {unsure['nvd']:g}"
            blend += f" --second runs/{subject.parts[SECOND]['recipe']['name']} {by_hand}"
        commands.append(f"ctiforge train blend {blend} --data DIR --out runs/blend")
    commands.append("make bench DATA=DIR" + (f" BENCH_ARGS='--encoder runs/{reader['name']}'" if reader else ""))
    measured = subject.results["cti_rcm"]
    return [
        "```console\n" + "\n".join(f"$ {each}" for each in commands) + "\n```",
        "DIR holds the files above. Data, recipe, seed and package versions are in the manifest; the scores are in "
        f"[classifier-{subject.name}.json](../../benchmarks/results/classifier-{subject.name}.json), each part with its command, the "
        f"digests of model and data, n, machine and revision (cti-rcm: `{(measured['git_revision'] or 'unknown')[:12]}`). How it came "
        "to be: [lab log](../lab-log.md), [training](../training.md), [decisions](../decisions/).",
    ]
