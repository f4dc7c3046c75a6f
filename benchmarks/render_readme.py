"""Render the numbers in README.md from benchmarks/results/classifier.json, and its example from examples/.

.venv/bin/python benchmarks/render_readme.py [--check]
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ctiforge.classify import Classifier
from ctiforge.classify.outputs import OutputOptions, find_output
from ctiforge.core.advisory import Advisory
from ctiforge.core.files import write_text
from ctiforge.sources.read import read_advisories

__all__ = ["main", "render_example", "render_numbers", "rendered_readme"]

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results" / "classifier.json"
EXAMPLE_IDS = ("CVE-2099-10007", "CVE-2099-10003", "CVE-2099-10010")


def main() -> int:
    """Rewrite README.md, or with --check only tell whether it is up to date."""
    text = README.read_text("utf-8")
    wanted = rendered_readme(text, json.loads(RESULTS.read_text("utf-8")))
    if "--check" in sys.argv[1:]:
        return int(text != wanted)
    write_text(README, wanted)
    return 0


def rendered_readme(text: str, results: dict[str, Any]) -> str:
    """Return README's text with the parts between markers made anew."""
    return _between(_between(text, "numbers", render_numbers(results)), "example", render_example())


def _between(text: str, name: str, new: str) -> str:
    begin, end = f"<!-- {name}: rendered by benchmarks/render_readme.py -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + new + end + after


def render_example() -> str:
    """Return what a terminal shows for a few of the invented advisories in examples/."""
    options = OutputOptions(generated_at=datetime(2026, 1, 1, tzinfo=UTC), width=104)
    renderer = find_output("table").renderer(options)
    records = {record.id: record for record in read_advisories([str(ROOT / "examples")]) if isinstance(record, Advisory)}
    answers = Classifier().classify(records[each] for each in EXAMPLE_IDS)
    return "```text\n" + renderer.begin() + "".join(map(renderer.render, answers)).rstrip() + "\n```\n"


def render_numbers(results: dict[str, Any]) -> str:
    """Return the tables, in Markdown."""
    rcm, dated, feed = results["cti_rcm"], results["dated"], results["feed"]
    cold, install, machine = results["cold_start"], results["install"], results["machine"]
    allowed, selective, forward = rcm["allowed_only"], rcm["selective"], dated["forward"]
    development = dated["development"]
    rows = [
        ("strict top-1, policy nvd", _share(rcm["top1"])),
        ("gold entry among the first 3", _share(rcm["top3"])),
        ("gold entry among the first 5", _share(rcm["top5"])),
        ("top-1, or its ancestor or descendant in View-1000", _share(rcm["hierarchy_top1"])),
        (
            f"top-1, policy mitre, all items (no more than {allowed['best_possible']:.3f} is possible: the other golds are "
            "entries that MITRE discourages)",
            _share(allowed["all_items"]),
        ),
        ("top-1, policy mitre, items whose gold MITRE allows", _share(allowed["items_with_suggestable_gold"])),
        (
            f"accuracy of the answers given at the model's own threshold (coverage {selective['coverage']:.3f})",
            _share(selective["accuracy_of_answers"]),
        ),
        ("macro F1 over the gold labels", f"{rcm['macro_f1']:.3f}"),
        ("expected calibration error, 15 bins", f"{rcm['calibration_error_15_bins']:.3f}"),
        ("always answering the commonest label", f"{rcm['majority_baseline']:.3f}"),
    ]
    later = [
        (f"development, {development['from']} to {development['until']} (chosen and calibrated on)", development),
        (f"forward, from {forward['from']} (never trained on)", forward),
    ]
    lines = [
        f"CTI-Bench cti-rcm ({rcm['n']:,} items, data SHA-256 `{rcm['data_sha256'][:12]}`), every item answered:",
        "",
        "| measure | value, 95 % interval |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        f"CVEs in order of time; the model was trained on those before {dated['trained_before']} (every "
        "weakness ranked; right means one of the entries that the CNA, else CISA, else NVD assigned):",
        "",
        "| split | n | top-1 | among the first 3 | calibration error |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {split['n']:,} | {_share(split['any'])} | {_share(split['any_top3'])} "
            f"| {split['calibration_error_15_bins']:.3f} |"
            for name, split in later
        ),
        "",
        "| speed and size | |",
        "|---|---|",
        f"| {feed['records']:,} CVE records ({feed['data']}) | {feed['records_per_second']:,} records/s, "
        f"{feed['peak_rss_mb_all_processes']:,} MB in all processes together |",
        f"| what became of them | {feed['answered']:,} answered, {feed['abstained']:,} abstained, "
        f"{feed['rejected']:,} rejected |",
        f"| one text, new process | {cold['median_s']:.2f} s (median of {cold['runs']}; slowest {cold['max_s']:.2f} s) |",
        f"| the light core installed | {install['site_packages_mb']:.0f} MB of site-packages, no torch; the model in it "
        f"{install['model_mb']:.1f} MB |",
        "",
        f"Model `{rcm['model']}`, SHA-256 `{rcm['model_digest']}`; CWE {rcm['cwe_version']}; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}. Made by `make bench`; the whole record is "
        "[benchmarks/results/classifier.json](benchmarks/results/classifier.json).",
        "",
    ]
    return "\n".join(lines)


def _share(share: dict[str, float]) -> str:
    return f"{share['value']:.3f} ({share['ci95_low']:.3f}-{share['ci95_high']:.3f})"


if __name__ == "__main__":
    sys.exit(main())
