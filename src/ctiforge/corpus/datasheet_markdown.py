"""The datasheet of a corpus as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ctiforge.core.ids import cwe_number
from ctiforge.corpus.datasheet import LENGTH_BINS, sum_tables
from ctiforge.corpus.outputs import SPLITS

__all__ = ["render_datasheet"]


def render_datasheet(sheet: Mapping[str, Any], manifest: Mapping[str, Any], plots: Mapping[str, str]) -> str:
    """Return the datasheet as Markdown.

    Args:
        manifest: of the same build.
        plots: alternative text by path of the picture, relative to the datasheet.
    """
    train, development = sheet["records"]["train"], sheet["records"]["development"]
    parts = [
        f"# Datasheet of the corpus `{sheet['name']}`\n",
        f"{sheet['description']}\n",
        f"{train:,} records to train on and {development:,} for development, cut by date. Built by ctiforge "
        f"{manifest['ctiforge']} from the recipe in `manifest.json`; labels are checked against CWE {sheet['cwe_version']}.\n",
        "## Composition\n",
        *(
            _count_table(sheet, name)
            for name in ("kind", "generator", "party", "year", "gold_letter", "evidence", "instruction")
        ),
        "### label (CVE-to-CWE records)\n",
        _split_table("label", {split: counts.get("label", {}) for split, counts in sheet["counts"].items()}, most=40),
        "### mapping usage of the labels (MITRE)\n",
        _split_table("usage", sheet["label_usage"]),
        "### abstraction of the labels\n",
        _split_table("abstraction", sheet["label_abstraction"]),
        f"{sheet['labels_replaced']:,} labels were replaced by the label policy. {sheet['dates_estimated']:,} dates are "
        "estimates from the order of CVE IDs.\n",
        "### length in characters\n",
        _length_table(sheet),
        *(f"![{text}]({path})\n" for path, text in plots.items()),
        "## Sources and licences\n",
        _table(
            ["file", "SHA-256", "licence", "use"],
            [[e["path"], f"`{e['sha256']}`", e["licence"], e["use"]] for e in manifest["inputs"]],
        ),
        _split_table("licence of the texts", {split: counts.get("licence", {}) for split, counts in sheet["counts"].items()}),
        "## What left, and why\n",
        _table(["stage", "kept", "rejected"], [[e["name"], f"{e['kept']:,}", f"{e['rejected']:,}"] for e in sheet["stages"]]),
        _reject_table(sheet["rejected"]),
        f"{sheet['conflicts']['groups']:,} groups of equal or nearly equal texts have different labels "
        f"({sheet['conflicts']['equal_texts']:,} of them equal texts); `conflicts.jsonl` lists them and how each went.\n",
        "## Contamination\n",
        _contamination(sheet["contamination"]),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _count_table(sheet: Mapping[str, Any], name: str) -> str:
    by_split = {split: counts.get(name, {}) for split, counts in sheet["counts"].items()}
    if not any(by_split.values()):
        return ""
    return f"### {name.replace('_', ' ')}\n\n" + _split_table(name, by_split)


def _split_table(name: str, by_split: Mapping[str, Mapping[str, int]], most: int = 10**6) -> str:
    totals: Counter[str] = Counter()
    for counts in by_split.values():
        totals.update(counts)
    ordered = sorted(totals, key=_year_or_count(totals))
    rows = [[key, *(f"{by_split[split].get(key, 0):,}" for split in SPLITS)] for key in ordered[:most]]
    if len(ordered) > most:
        rest = [sum(by_split[split].get(key, 0) for key in ordered[most:]) for split in SPLITS]
        rows.append([f"{len(ordered) - most} others", *(f"{count:,}" for count in rest)])
    return _table([name.replace("_", " "), *SPLITS], rows)


def _year_or_count(totals: Counter[str]) -> Callable[[str], tuple[Any, ...]]:
    if all(key.isdigit() or key == "none" for key in totals):
        return lambda key: (len(key), key)
    return lambda key: (-totals[key], cwe_number(key) if key.startswith("CWE-") else 0, key)


def _length_table(sheet: Mapping[str, Any]) -> str:
    ends = [
        *(f"{low:,} to {high - 1:,}" for low, high in pairwise(LENGTH_BINS)),
        f"{LENGTH_BINS[-1]:,} or more",
    ]
    columns = [(split, part) for split in SPLITS for part in ("prompt", "completion")]
    rows = [[end, *(f"{sheet['lengths'][split][part][i]:,}" for split, part in columns)] for i, end in enumerate(ends)]
    return _table(["characters", *(f"{part} ({split})" for split, part in columns)], rows)


def _reject_table(rejected: Mapping[str, Mapping[str, int]]) -> str:
    rows = [[stage, reason, f"{count:,}"] for stage, reasons in rejected.items() for reason, count in reasons.items()]
    return _table(["stage", "reason", "records"], rows)


def _contamination(contamination: Mapping[str, Any]) -> str:
    files = contamination["against"]
    removed, stayed = contamination["removed"], contamination["stayed"]
    rows = []
    for level in dict.fromkeys((*contamination["levels_that_remove"], *removed, *stayed)):
        removes = level in contamination["levels_that_remove"]
        met = removed if removes else sum_tables((removed, stayed))
        rows.append([level, "yes" if removes else "no", *(f"{met.get(level, {}).get(file, 0):,}" for file in files)])
    said = (
        "Records that met an item of a benchmark file, by the level at which they met it. A record counts once for each level "
        "and file. At levels that remove, none of them is in the corpus; near-duplicates count from a Jaccard index of "
        f"{contamination['near_duplicate']} on. What is rare, for `ngram`, depends on the texts looked at, so an audit of the "
        "finished files may find further resemblances at that level. Check it: "
        "`ctiforge corpus audit train.jsonl --against DIR`.\n"
    )
    return f"{said}\n{_table(['level', 'removes', *files], rows)}"
