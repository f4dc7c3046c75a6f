"""Render the numbers in README.md from benchmarks/results/classifier-*.json, and its example from examples/.

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
RESULTS = ROOT / "benchmarks" / "results"
MODELS = ("fast", "accurate")
EXAMPLE_IDS = ("CVE-2099-10007", "CVE-2099-10003", "CVE-2099-10010")


def main() -> int:
    """Rewrite README.md, or with --check only tell whether it is up to date."""
    text = README.read_text("utf-8")
    wanted = rendered_readme(text, load_results())
    if "--check" in sys.argv[1:]:
        return int(text != wanted)
    write_text(README, wanted)
    return 0


def load_results() -> dict[str, dict[str, Any]]:
    """Return the result files of the models that were measured, by model, in the order of `MODELS`."""
    files = {model: RESULTS / f"classifier-{model}.json" for model in MODELS}
    return {model: json.loads(file.read_text("utf-8")) for model, file in files.items() if file.exists()}


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


def render_numbers(results: dict[str, dict[str, Any]]) -> str:
    """Return the tables, in Markdown: a column for each model."""
    models = list(results.values())
    rcm, dated = ([each[part] for each in models] for part in ("cti_rcm", "dated"))
    header = [_row("measure", [f"`{model}`" for model in results]), "|---" * (1 + len(results)) + "|"]
    development, forward = dated[0]["development"], dated[0]["forward"]
    lines = [
        f"CTI-Bench cti-rcm ({rcm[0]['n']:,} items, data SHA-256 `{rcm[0]['data_sha256'][:12]}`), every item answered, with "
        f"95 % intervals; always answering the commonest label scores {rcm[0]['majority_baseline']:.3f}:",
        "",
        *header,
        *_benchmark(rcm),
        "",
        f"CVEs in order of time, trained on those before {dated[0]['trained_before']}, chosen and calibrated on the development "
        f"split ({development['from']} to {development['until']}), never shown later ones (forward, from {forward['from']}). "
        "Every weakness is ranked; right means one of the entries that the CNA, else CISA, else NVD assigned:",
        "",
        *header,
        *_later(dated),
        "",
        *(_paired(each) for each in dated if "paired" in each["forward"]),
        *header,
        *_speed(models),
        "",
        *(_side_by_side(each["side_by_side"]) for each in models if "side_by_side" in each),
        *(_model(each) for each in models),
        "",
        "Made by `make bench`; the whole records are in [benchmarks/results](benchmarks/results)"
        f"; model cards: {', '.join(f'[{model}](docs/models/{model}.md)' for model in results)}.",
        "",
    ]
    return "\n".join(lines)


def _benchmark(rcm: list[dict[str, Any]]) -> list[str]:
    allowed, own = ([each[part] for each in rcm] for part in ("allowed_only", "selective"))
    limit = allowed[0]["best_possible"]
    rows: list[tuple[str, list[str]]] = [
        ("strict top-1, policy nvd", [_share(each["top1"]) for each in rcm]),
        ("gold entry among the first 3", [_share(each["top3"]) for each in rcm]),
        ("gold entry among the first 5", [_share(each["top5"]) for each in rcm]),
        ("top-1, or its ancestor or descendant in View-1000", [_share(each["hierarchy_top1"]) for each in rcm]),
        (
            f"top-1, policy mitre, all items (no more than {limit:.3f} is possible: the other golds are discouraged)",
            [_share(each["all_items"]) for each in allowed],
        ),
        (
            "top-1, policy mitre, items whose gold MITRE allows",
            [_share(each["items_with_suggestable_gold"]) for each in allowed],
        ),
        (
            "accuracy of the answers given at the model's own threshold",
            [_share(each["accuracy_of_answers"]) for each in own],
        ),
        ("share of items answered at that threshold", [f"{each['coverage']:.3f}" for each in own]),
        (
            "macro F1, gold labels with 5 items or more",
            [_share(each["macro_f1_labels_with_5_items"]) for each in rcm],
        ),
        ("macro F1, all gold labels", [_share(each["macro_f1"]) for each in rcm]),
        ("expected calibration error, 15 bins", [f"{each['calibration_error_15_bins']:.3f}" for each in rcm]),
    ]
    return [_row(*row) for row in rows]


def _later(dated: list[dict[str, Any]]) -> list[str]:
    rows: list[tuple[str, list[str]]] = []
    for name in ("development", "forward"):
        splits = [each[name] for each in dated]
        rows += [
            (f"{name}, n = {splits[0]['n']:,}: top-1", [_share(each["any"]) for each in splits]),
            (f"{name}: among the first 3", [_share(each["any_top3"]) for each in splits]),
            (f"{name}: top-1, policy mitre", [_share(each["policy_mitre"]["any"]) for each in splits]),
            (f"{name}: calibration error", [f"{each['calibration_error_15_bins']:.3f}" for each in splits]),
        ]
    return [_row(*row) for row in rows]


def _paired(dated: dict[str, Any]) -> str:
    found = dated["forward"]["paired"]
    return (
        f"On the same {found['n']:,} later CVEs `{dated['model']}` is right where `{found['against']}` is not "
        f"{found['only_ours_right']:,} times, and the other way round {found['only_theirs_right']:,} times: "
        f"{100 * found['difference']:+.1f} points ({100 * found['ci95_low']:+.1f} to {100 * found['ci95_high']:+.1f}), McNemar's "
        f"exact test p = {found['mcnemar_p']:g}.\n"
    )


def _row(name: str, values: list[str]) -> str:
    return f"| {name} | {' | '.join(values)} |"


def _speed(models: list[dict[str, Any]]) -> list[str]:
    feeds, colds, installs = ([each[part] for each in models] for part in ("feed", "cold_start", "install"))
    return [
        _row(
            "records a second, whole pipeline to JSON Lines",
            [f"{f['records_per_second']:,} (of {f['records']:,})" for f in feeds],
        ),
        _row("memory of all processes together", [f"{f['peak_rss_mb_all_processes']:,} MB" for f in feeds]),
        _row("answered, abstained, rejected", [f"{f['answered']:,}, {f['abstained']:,}, {f['rejected']:,}" for f in feeds]),
        _row("one text, new process: median (slowest)", [f"{c['median_s']:.2f} s ({c['max_s']:.2f} s)" for c in colds]),
        _row("installed: site-packages, no torch", [f"{i['site_packages_mb']:.0f} MB" for i in installs]),
    ]


def _side_by_side(result: dict[str, Any]) -> str:
    ours, theirs = result["ours"], result["transformers_roberta_base_size"]
    return (
        f"Side by side on the same descriptions: `{ours['model']}`, from records to JSON Lines and with its start, "
        f"{ours['per_second']:,.0f} a second; transformers' pipeline with a RoBERTa-base-size model "
        f"{theirs['per_second']:.1f}: {result['ratio']:.0f} times.\n"
    )


def _model(results: dict[str, Any]) -> str:
    rcm, machine = results["cti_rcm"], results["feed"]["machine"]
    return (
        f"- `{rcm['model']}`, SHA-256 `{rcm['model_digest']}`; CWE {rcm['cwe_version']}; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    )


def _share(share: dict[str, float]) -> str:
    interval = f" ({share['ci95_low']:.3f}-{share['ci95_high']:.3f})" if "ci95_low" in share else ""
    return f"{share['value']:.3f}{interval}"


if __name__ == "__main__":
    sys.exit(main())
