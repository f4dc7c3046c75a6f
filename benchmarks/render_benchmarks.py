"""Render docs/leaderboard.md and the measured parts of benchmarks/README.md from records and result files.

.venv/bin/python benchmarks/render_benchmarks.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ctiforge.bench.leaderboard import load_published, render_leaderboard
from ctiforge.bench.report import load_record, render_markdown
from ctiforge.core.files import write_text

__all__ = ["main", "rendered"]

HERE = Path(__file__).parent
RECORDS, RESULTS = HERE / "records", HERE / "results"
END_TO_END = "gemma3-270m.json"


def main() -> int:
    """Write the pages, or with --check only tell whether they are up to date."""
    pages = rendered()
    if "--check" in sys.argv[1:]:
        return int(any(path.read_text("utf-8") != text for path, text in pages.items()))
    for path, text in pages.items():
        write_text(path, text)
    return 0


def rendered() -> dict[Path, str]:
    """Return the text of each page."""
    records = [load_record(path) for path in sorted(RECORDS.glob("*.json"))]
    readme = (HERE / "README.md").read_text("utf-8")
    for name, part in {
        "harness": _harness(json.loads((RESULTS / "harness.json").read_text("utf-8"))),
        "rescore": _rescore([json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("rescore-*.json"))]),
        "end to end": _lower_headings(render_markdown([load_record(RECORDS / END_TO_END)])),
    }.items():
        readme = _between(readme, name, part)
    return {HERE / "README.md": readme, HERE.parent / "docs" / "leaderboard.md": render_leaderboard(records, load_published())}


def _between(text: str, name: str, new: str) -> str:
    begin, end = f"<!-- {name}: rendered by benchmarks/render_benchmarks.py -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + new.rstrip() + "\n" + end + after


def _lower_headings(markdown: str) -> str:
    return "".join(f"##{line}" if line.startswith("#") else line for line in markdown.splitlines(keepends=True))


def _harness(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"{result['requests']:,} requests, {result['concurrency']} in flight, to a stub that takes {result['delay_ms']} ms: "
        f"{result['seconds']:.2f} s, {result['ratio']:.2f} times the ideal {result['ideal_seconds']:.2f} s, "
        f"{result['peak_memory_mb']:.0f} MB at most ({machine['processor']}, {machine['cores']} cores). "
        "Keeping, scoring under every rule and the record are in it.\n"
    )


def _rescore(results: list[dict[str, Any]]) -> str:
    lines = [
        "| predictions | task | rule | accuracy, all items | of parsed | parsed | as published |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        printed = {each["accuracy"]: each["printed_accuracy"] for each in result["agreement"] if each["agrees"]}
        for row in result["sensitivity"]:
            said = f"{printed[row['accuracy']]} exactly" if row["is_default"] and row["accuracy"] in printed else ""
            parsed = "" if row["accuracy_of_parsed"] is None else f"{row['accuracy_of_parsed']:.4f}"
            mark = "**" if row["is_default"] else ""
            lines.append(
                f"| {result['path']} | {result['task']} | {mark}{row['rule']}{mark} | {row['accuracy']:.4f} | {parsed} "
                f"| {row['parsed']:,} of {row['n']:,} | {said} |"
            )
    cut = sum(result["cut"] for result in results)
    lines.append(
        f"\n{cut} completions stand cut off at 1,000 characters in the published files. Under the authors' rule (bold) the "
        "answers that they printed for these count; the other rules read what is there."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
