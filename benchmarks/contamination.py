"""Measure the contamination audit: recall on planted leaks, false alarms on later texts, speed and memory on 190k records.

    .venv/bin/python benchmarks/contamination.py --data DIR [--only PART ...]

DIR holds ctibench/ (CC BY-NC-SA 4.0, read for this measurement only), cve/ and published/. Each part writes its section of
benchmarks/results/contamination.json; the figures of docs/corpus-audit.md and docs/plots/contamination.svg come from that file.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import describe_machine
from planted_edits import EDITS, all_edits
from speed import _tree_rss as tree_rss

from ctiforge import __version__
from ctiforge.core.files import file_sha256, write_json, write_text
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.core.metrics import wilson_interval
from ctiforge.corpus.audit import run_audit
from ctiforge.corpus.contamination import Benchmarks, ContaminationChecker, ContaminationSettings, load_benchmarks

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "contamination.json"
PLOT = ROOT / "docs" / "plots" / "contamination.svg"
DOCUMENT = ROOT / "docs" / "corpus-audit.md"
_TRICKEST = "trickest-cve-1999-2025.jsonl.xz"
_ITEMS = 200
_FIRST_LATE_NUMBER = 53_000
"""CVE-2025-53000 was reserved at the end of June 2025; CTI-Bench's youngest CVE is of 2024."""
_COPY = ("exact_text", "near_duplicate", "ngram")
_JACCARD = [round(0.5 + 0.05 * step, 2) for step in range(11)]
_RARE = [(0.36, 0.20), (0.42, 0.25), (0.48, 0.30), (0.52, 0.35), (0.60, 0.45), (0.70, 0.60), (0.85, 0.80)]


def _descriptions(data: Path) -> Iterator[tuple[str, str]]:
    with lzma.open(data / "cve" / _TRICKEST) as lines:
        for line in lines:
            row = json.loads(line)
            if row["description"].strip():
                yield row["cve_id"], row["description"]


def _late(data: Path) -> list[str]:
    return [text for name, text in _descriptions(data) if name.startswith("CVE-2025-") and int(name[9:]) >= _FIRST_LATE_NUMBER]


def _spelled(text: str, options: tuple[str, ...]) -> str:
    return text + "".join(f"\n{letter}) {option}" for letter, option in zip("ABCDEFGH", options, strict=False))


class _Planted:
    """Edited items by kind of edit, the places of the items that are the right answer, and the texts that are no leaks."""

    def __init__(self, benchmarks: Benchmarks, late: list[str]) -> None:
        chance = random.Random(7)
        items = chance.sample(list(benchmarks.items), _ITEMS)
        whole = [_spelled(item.text, item.options) for item in items]
        self.late = late
        self.answers = [item.text for item in items]
        self.texts = {name: [edit(text, chance) for text in whole] for name, edit in EDITS.items()}
        kinds = list(EDITS)
        self.texts["one each, in turn"] = [self.texts[kinds[n % len(kinds)]][n] for n in range(_ITEMS)]
        self.texts["all at once"] = [all_edits(text, chance) for text in whole]
        self.background = [*late, *self.texts["one each, in turn"]]


def measure_planted(data: Path) -> dict[str, Any]:
    benchmarks = load_benchmarks([data / "ctibench"])
    planted = _Planted(benchmarks, _late(data))
    default = _Detector(benchmarks, planted, ContaminationSettings())
    loose = _Detector(benchmarks, planted, ContaminationSettings(near_duplicate=0.5))
    full = [
        {"rare_words": words, "rare_phrases": phrases}
        | _Detector(benchmarks, planted, ContaminationSettings(rare_words=words, rare_phrases=phrases)).rates(_COPY)
        for words, phrases in _RARE
    ]
    return {
        "data": {_TRICKEST: file_sha256(data / "cve" / _TRICKEST)} | {file.name: file.sha256 for file in benchmarks.files},
        "items": _ITEMS,
        "later_texts": len(planted.late),
        "later_texts_are": f"descriptions of CVE-2025-{_FIRST_LATE_NUMBER} and higher",
        "found_by": list(_COPY),
        "at_default": default.rates(_COPY) | {"by_level": {level: default.rates((level,)) for level in _COPY}},
        "near_duplicate_alone": [{"jaccard": step} | loose.rates(_COPY[:2], step) for step in _JACCARD],
        "with_ngram": full,
    }


class _Detector:
    """Scores of every text at every level: of planted ones for their own item, of later ones for any item."""

    def __init__(self, benchmarks: Benchmarks, planted: _Planted, settings: ContaminationSettings) -> None:
        checker = ContaminationChecker(benchmarks, settings, background=planted.background)
        answers = planted.answers
        self._leaks = {
            name: [self._scores(checker, text, answer) for text, answer in zip(texts, answers, strict=True)]
            for name, texts in planted.texts.items()
        }
        self._late = [self._scores(checker, text, None) for text in planted.late]

    @staticmethod
    def _scores(checker: ContaminationChecker, text: str, answer: str | None) -> dict[str, float]:
        scores: dict[str, float] = {}
        for hit in checker.check(text):
            if answer is None or hit.item_text.startswith(answer):
                scores[hit.level] = max(hit.score, scores.get(hit.level, 0.0))
        return scores

    def rates(self, levels: tuple[str, ...], at_least: float = 0.0) -> dict[str, Any]:
        def share(rows: list[dict[str, float]]) -> float:
            return sum(any(row.get(level, -1) >= at_least for level in levels) for row in rows) / len(rows)

        alarms = share(self._late)
        interval = wilson_interval(round(alarms * len(self._late)), len(self._late))
        return {
            "recall": {name: round(share(rows), 4) for name, rows in self._leaks.items()},
            "false_alarms": round(alarms, 5),
            "false_alarms_95": [round(interval.low, 5), round(interval.high, 5)],
        }


def measure_published(data: Path) -> dict[str, Any]:
    corpus = data / "published" / "rcm_2021_train.jsonl.xz"
    report = run_audit(corpus, load_benchmarks([data / "ctibench"]))
    return {
        "corpus": corpus.name,
        "sha256": report.sha256,
        "records": report.records,
        "items_found": report.found,
        "counts": {
            level: {file: [each.items, each.records] for file, each in by_file.items() if each.items}
            for level, by_file in report.counts.items()
        },
        "shared_instructions": len(report.instructions),
    }


def measure_speed(data: Path) -> dict[str, Any]:
    """Run the command on the descriptions of two feeds, two processes; memory is that of all processes together (Linux)."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.jsonl"
        records = _write_corpus(corpus, data)
        command = [sys.executable, "-m", "ctiforge", "corpus", "audit", str(corpus), "--against", str(data / "ctibench")]
        load = os.getloadavg()[0]
        started = time.perf_counter()
        process = subprocess.Popen([*command, "--workers", "2"], stdout=subprocess.PIPE, text=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_rss(process.pid))
            time.sleep(0.2)
        seconds = time.perf_counter() - started
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert process.returncode == 0
    return {
        "records": records,
        "benchmark_files": 6,
        "seconds": round(seconds, 1),
        "records_per_second": round(records / seconds),
        "cpu_seconds_all_processes": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_rss_mb_all_processes": round(peak / 1e6),
        "load_average_before": round(load, 1),
    }


def _write_corpus(path: Path, data: Path) -> int:
    texts = [*_descriptions(data)]
    with lzma.open(data / "cve" / "vulnrichment.jsonl.xz") as lines:
        for row in map(json.loads, lines):
            given = row["containers"].get("cna", {}).get("descriptions", [])
            if text := next((each["value"] for each in given if each["lang"].startswith("en")), ""):
                texts.append((row["cveMetadata"]["cveId"], text))
    ask = "Name the weakness of this CVE and give the reason. CVE Description: "
    path.write_text("".join(json.dumps({"cve_id": name, "prompt": ask + text}) + "\n" for name, text in texts))
    return len(texts)


def draw(results: dict[str, Any]) -> None:
    """Draw recall against false alarms, the curve of the documentation."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ctiforge"
    from matplotlib import pyplot

    planted = results["planted"]
    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    curves = (("near_duplicate_alone", "exact text, Jaccard 0.5 to 1.0", "o--"), ("with_ngram", "with rare n-grams", "s-"))
    for key, label, style in curves:
        for kind, alpha in (("one each, in turn", 1.0), ("product names changed", 0.45)):
            points = [(100 * row["false_alarms"], row["recall"][kind]) for row in planted[key]]
            axes.plot(*zip(*points, strict=True), style, label=f"{label}: {kind}", alpha=alpha, markersize=4)
    axes.axvline(1, linewidth=0.8, linestyle=":", color="grey")
    axes.axhline(0.95, linewidth=0.8, linestyle=":", color="grey")
    axes.set(xlabel="later texts that are called leaks, %", ylabel="planted leaks found", xlim=(-0.1, 4), ylim=(0.3, 1.02))
    axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None, "Creator": None})
    write_text(PLOT, "\n".join(line.rstrip() for line in PLOT.read_text("utf-8").splitlines()) + "\n")


def render_tables(results: dict[str, Any]) -> str:
    """Return the measured figures as Markdown."""
    planted = results["planted"]
    default = planted["at_default"]
    low, high = (f"{100 * each:.2f}" for each in default["false_alarms_95"])
    lines = [f"| edit of {planted['items']} planted items | found | by exact text | or Jaccard 0.8 |", "|---|---|---|---|"]
    curve = {row["jaccard"]: row["recall"] for row in planted["near_duplicate_alone"]}
    exact = default["by_level"]["exact_text"]["recall"]
    lines += [
        f"| {name} | {found:.3f} | {exact[name]:.3f} | {curve[0.8][name]:.3f} |" for name, found in default["recall"].items()
    ]
    lines += [
        "",
        f"False alarms: {100 * default['false_alarms']:.2f} % of {planted['later_texts']:,} {planted['later_texts_are']}"
        f" (95 % interval {low} to {high}).",
        "",
        "| Jaccard from | found, one edit each | false alarms |",
        "|---|---|---|",
    ]
    for row in planted["near_duplicate_alone"]:
        lines.append(f"| {row['jaccard']:.2f} | {row['recall']['one each, in turn']:.3f} | {100 * row['false_alarms']:.2f} % |")
    lines += [
        "",
        "| rare words, rare phrases from | found, one edit each | names changed | false alarms |",
        "|---|---|---|---|",
    ]
    for row in planted["with_ngram"]:
        recall = row["recall"]
        lines.append(
            f"| {row['rare_words']:.2f}, {row['rare_phrases']:.2f} | {recall['one each, in turn']:.3f} "
            f"| {recall['product names changed']:.3f} | {100 * row['false_alarms']:.2f} % |"
        )
    speed = results["speed"]
    lines += [
        "",
        f"{speed['records']:,} records against {speed['benchmark_files']} benchmark files in two processes: "
        f"{speed['seconds']:.0f} s, of which {speed['cpu_seconds_all_processes']:.0f} s of processor time in all processes "
        f"together, {speed['peak_rss_mb_all_processes']:,} MB likewise (load average before the run "
        f"{speed['load_average_before']}).",
    ]
    return "\n".join(lines) + "\n"


def rendered_document(text: str, results: dict[str, Any]) -> str:
    """Return the document with the part between its markers made anew."""
    begin, end = "<!-- measured: rendered by benchmarks/contamination.py -->\n", "<!-- end of measured -->\n"
    before, _, rest = text.partition(begin)
    return before + begin + render_tables(results) + end + rest.partition(end)[2]


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "planted": measure_planted,
    "published": measure_published,
    "speed": measure_speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="nothing: only render the documents")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in arguments.only:
        print(f"{part} ...", flush=True)
        results[part] = PARTS[part](arguments.data) | {
            "command": f"benchmarks/contamination.py --data DIR --only {part}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "ctiforge": __version__,
            "git_revision": git_revision(),
        }
        results["machine"] = describe_machine()
        results["packages"] = package_versions(["numpy", "orjson"])
        write_json(RESULTS, results)
    if missing := PARTS.keys() - results.keys():
        parser.exit(message=f"documents not rendered: {', '.join(sorted(missing))} not measured yet\n")
    draw(results)
    write_text(DOCUMENT, rendered_document(DOCUMENT.read_text("utf-8"), results))


if __name__ == "__main__":
    main()
