"""The audit in words and as JSON: a verdict that a reviewer can quote, counts by level and benchmark file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from ctiforge import __version__
from ctiforge.corpus.audit_findings import AuditReport, LevelCount
from ctiforge.corpus.contamination.settings import LEVELS, TEXT_LEVELS, Level

__all__ = ["LEVEL_MEANINGS", "REPORT_FORMAT", "render_audit", "report_json", "verdict"]

REPORT_FORMAT: Final = "ctiforge-corpus-audit/1"

LEVEL_MEANINGS: Final[dict[Level, str]] = {
    "exact_id": "the record is about the item's CVE, or names it",
    "exact_text": "the same text after normalisation",
    "near_duplicate": "Jaccard index of the word sets at or above the threshold",
    "ngram": "rare words or rare phrases in common; boilerplate is discounted",
    "semantic": "cosine of embeddings at or above the threshold",
    "options": "the same set of answer options",
    "source_object": "the same ATT&CK, CWE or CAPEC object",
}
_LEAKS: Final[tuple[Level, ...]] = ("exact_id", "exact_text", "near_duplicate")


def verdict(report: AuditReport) -> str:
    """Return the finding in two or three sentences."""
    files = report.benchmarks.files
    items = sum(file.items for file in files)
    pinned = sum(file.pin == "matches" for file in files)
    as_published = "each as published" if pinned == len(files) else f"{pinned} of them as published"
    scope = (
        f"{report.records:,} records (SHA-256 {report.sha256[:12]}...) were checked against {items:,} items of "
        f"{len(files)} benchmark file{'s' * (len(files) != 1)} ({as_published})"
    )
    if report.unreadable:
        scope += f"; {len(report.unreadable):,} rows could not be read and were not checked"
    whole = [
        f"{name}: {found:,} of {count:,} items are in it"
        for file in files
        if (found := report.found[name := file.name]) and (count := file.items)
    ]
    leaks = [f"{report.total(level).items:,} {level}" for level in _LEAKS if report.total(level).items]
    rest = report.total("ngram").items + report.total("semantic").items
    if leaks:
        head, found_at = (
            "CONTAMINATED",
            f"Items found by level: {', '.join(leaks)}"
            + (f"; {rest:,} others share rare words or phrases with a record" if rest else ""),
        )
    elif rest:
        head, found_at = "NO COPIES FOUND, BUT RESEMBLANCES", f"{rest:,} items share rare words or phrases with a record"
    else:
        head, found_at = "CLEAN", f"No item was found by {', '.join(_text_levels(report))}"
    found_in = f" {'; '.join(whole)}." if whole else ""
    return f"{head}. {scope}. {found_at} (near-duplicates from Jaccard {report.settings['near_duplicate']}).{found_in}"


def _text_levels(report: AuditReport) -> list[str]:
    return [level for level in ("exact_id", *TEXT_LEVELS) if level in report.levels_checked]


def render_audit(report: AuditReport) -> str:
    """Return the verdict and the tables for a terminal."""
    files = [file.name for file in report.benchmarks.files]
    lines = [f"{report.corpus}: {verdict(report)}", "", "Items found / records that hold one:"]
    width = max(len("near_duplicate"), *map(len, files))
    shown = [level for level in LEVELS if level in report.levels_checked]
    lines.append(f"  {'':{width}}  {'items':>7}  " + "  ".join(f"{level:>14}" for level in shown))
    for file in report.benchmarks.files:
        cells = "  ".join(f"{_cell(report.counts[level][file.name]):>14}" for level in shown)
        lines.append(f"  {file.name:{width}}  {file.items:>7,}  {cells}")
    if report.details:
        parts = [f"{name} {each.items:,}/{each.records:,}" for name, each in report.details.items()]
        lines += ["", "Of these: " + ", ".join(parts)]
    lines += ["", "Items with a record at least so near (Jaccard):"]
    steps = list(report.sweep)
    lines.append(f"  {'':{width}}  " + "  ".join(f"{step:>6.2f}" for step in steps))
    lines += [f"  {file:{width}}  " + "  ".join(f"{report.sweep[step][file].items:>6,}" for step in steps) for file in files]
    for text, share in report.instructions:
        short = text if len(text) <= 100 else f"{text[:60]} ... {text[-35:]}"
        lines += ["", f"Not compared, since {share:.0%} of the prompts begin with it: {short!r}"]
    return "\n".join(lines) + "\n"


def _cell(count: LevelCount) -> str:
    return f"{count.items:,} / {count.records:,}" if count.items or count.records else "-"


def report_json(report: AuditReport) -> dict[str, Any]:
    """Return the whole report as JSON values, all pairs with both texts included."""
    return {
        "format": REPORT_FORMAT,
        "ctiforge": __version__,
        "verdict": verdict(report),
        "corpus": {"path": report.corpus, "sha256": report.sha256, "records": report.records, "unreadable": report.unreadable},
        "benchmarks": [asdict(file) for file in report.benchmarks.files],
        "skipped_files": dict(report.benchmarks.skipped),
        "settings": dict(report.settings),
        "levels_checked": list(report.levels_checked),
        "counts": {
            level: {file: asdict(count) for file, count in by_file.items()}
            for level, by_file in report.counts.items()
            if level in report.levels_checked
        },
        "details": {name: asdict(count) for name, count in report.details.items()},
        "items_found": dict(report.found),
        "jaccard_sweep": {
            f"{step:.2f}": {file: asdict(count) for file, count in by_file.items()} for step, by_file in report.sweep.items()
        },
        "shared_instructions": [{"text": text, "share": round(share, 4)} for text, share in report.instructions],
        "pairs": [asdict(pair) for pair in report.pairs],
    }
