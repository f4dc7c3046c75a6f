"""Render docs/leaderboard.md and the measured parts of docs/ask.md, docs/rare.md and benchmarks/README.md from records and
result files.

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
        "serving": _serving(json.loads((RESULTS / "serve.json").read_text("utf-8"))),
        "habits": _habits(json.loads((RESULTS / "habits.json").read_text("utf-8"))),
        "factory": _factory(json.loads((RESULTS / "factory.json").read_text("utf-8"))),
        "rescore": _rescore([json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("rescore-*.json"))]),
        **_of_knowledge_base(),
        "end to end": _lower_headings(render_markdown([load_record(RECORDS / END_TO_END)])),
    }.items():
        readme = _between(readme, name, part)
    docs = HERE.parent / "docs"
    rare = _rare(json.loads((RESULTS / "rare.json").read_text("utf-8")))
    ask = _ask(json.loads((RESULTS / "ask.json").read_text("utf-8")))
    return {
        HERE / "README.md": readme,
        docs / "ask.md": _between((docs / "ask.md").read_text("utf-8"), "ask", ask),
        docs / "leaderboard.md": render_leaderboard(records, load_published()),
        docs / "rare.md": _between((docs / "rare.md").read_text("utf-8"), "rare", rare),
    }


def _ask(result: dict[str, Any]) -> str:
    cited, exact, free, off = (result[name] for name in ("citations", "structured", "free_text", "off_topic"))
    low, high = cited["interval_95"]
    rows = [
        ("sentences that what they cite holds", f"{cited['held']} of {cited['sentences']}, {low:.3f} to {high:.3f} at 95 %"),
        ("the same against the citations of another sentence (control)", f"{cited['held_by_the_citations_of_another_answer']}"),
        ("structured questions answered exactly", f"{exact['exact']} of {exact['n']}"),
        ("questions in free text answered", f"{free['answered']} of {free['n']}"),
        ("... from the object that they were made from", f"{free['from_the_object_it_was_made_from']}"),
        ("questions off the subject answered", f"{off['answered']} of {off['n']}"),
        ("question to answer, index loaded", f"median {result['time']['median_ms']} ms, 95 % {result['time']['p95_ms']} ms"),
    ]
    sources = ", ".join(f"{each['name'].removeprefix('MITRE ')} {each['version']}".strip() for each in result["sources"])
    how = "words and meaning" if result["embeddings"] else "words only"
    machine = f"{result['machine']['processor']}, {result['machine']['cores']} cores"
    head = f"{result['questions']} questions (seed {result['seed']}) from {sources}, searched by {how} ({machine}); `python benchmarks/ask.py --kb DIR`.\n"
    return "\n".join([head, "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


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


def _serving(result: dict[str, Any]) -> str:
    machine, latency, library = result["machine"], result["latency_ms"], result["library_texts_per_second"]
    return (
        f"{result['clients']} clients for {result['seconds']:.0f} s, one text of {result['mean_characters']:.0f} characters (mean) a "
        f"request: {result['requests']:,} answers, {result['errors']} errors, {result['requests_per_second']:,.0f} requests/s; "
        f"p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms, p99.9 {latency['p99.9']:.0f} ms. The library, one process and one "
        f"thread, classified {library['before']:,.0f} of the same texts a second before and {library['after']:,.0f} after it: a share of "
        f"{result['share_of_library']:.2f} ({machine['processor']}, {machine['cores']} cores; `{result['command']}`).\n"
    )


def _of_knowledge_base() -> dict[str, str]:
    """Return the parts about the knowledge base that there are results for."""
    parts = {}
    for name, file, render in (("open book", "open-book.json", _open_book), ("knowledge base", "knowledge-base.json", _kb)):
        if (path := RESULTS / file).exists():
            parts[name] = render(json.loads(path.read_text("utf-8")))
    return parts


def _open_book(result: dict[str, Any]) -> str:
    rows = [("all items", result["accuracy"])]
    for title, key in (("made from", "by_source"), ("ATT&CK domain", "by_domain"), ("the page is", "by_page")):
        rows += [(f"{title}: {name}", found) for name, found in result[key].items()]
    lines = ["| cti-mcq, open book | n | accuracy | 95 % interval |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {found['n']:,} | {found['accuracy']:.3f} | {found['interval_95'][0]:.3f} to {found['interval_95'][1]:.3f} |"
        for name, found in rows
    ]
    commonest = sorted(result["missing_sources"].items(), key=lambda entry: (-entry[1], entry[0]))[:12]
    gone = ", ".join(f"{name} ({count})" for name, count in commonest)
    settings = result["model"]["settings"]
    return "\n".join([
        f"Reader {result['model']['digest'][:12]}, {'with' if settings['embeddings'] else 'without'} embeddings; sources: "
        f"{', '.join(settings['sources'])}. Data: cti-mcq.tsv, SHA-256 {result['data_sha256'][:12]}.", "", *lines, "",
        f"Over all rotations of the options: {result['accuracy_over_rotations']:.4f}; "
        f"{result['answered_alike_in_all_rotations']:.2%} of the items are answered alike in all of them.", "",
        f"Pages and hosts that items were made from and that the index lacks, the commonest of "
        f"{result['missing_sources_in_all']}: {gone}.",
    ])  # fmt: skip


def _kb(result: dict[str, Any]) -> str:
    found, search, machine = result["retrieval"], result["search"], result["machine"]
    text = (
        f"{result['counts']['passages']:,} passages, {'with' if result['embeddings'] else 'without'} embeddings: a search takes "
        f"{search['median_ms']:.0f} ms (median; 95 % within {search['p95_ms']:.0f} ms). The object of an item's page is among the "
        f"first {found['top_k']} passages for {found['recall']:.3f} of {found['n']:,} items of cti-mcq (95 % interval "
        f"{found['interval_95'][0]:.3f} to {found['interval_95'][1]:.3f})"
    )
    if build := result.get("build"):
        text += f"; the build took {build['seconds']:,.0f} s and {build['peak_memory_mb']:,} MB"
    return f"{text} ({machine['processor']}, {machine['cores']} cores).\n"


def _factory(results: dict[str, Any]) -> str:
    lines = [
        "| completions | examples x tokens | of them completion | plain, tokens/s | ours, tokens/s | ratio | loss differs by |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for name, words in {"whole": "with evidence", "last-line": "the answer alone"}.items():
        step = results["step"][name]
        speed = step["tokens_per_second"]
        lines.append(
            f"| {words} | {step['examples']} x {step['tokens'] // step['examples']} | {step['completion_tokens']} | "
            f"{speed['plain']:.0f} | {speed['ours']:.0f} | **{step['ratio']:.2f}** | "
            f"{step['largest_relative_loss_difference']:.0e} |"
        )
    lines += [
        "",
        "| model | examples x tokens | activations | planned, GB | measured, GB | planned / measured |",
        "|---|---|---|---|---|---|",
    ]
    for step in results["memory"]["steps"]:
        kept = "computed again" if step["checkpointing"] else "kept"
        lines.append(
            f"| {step['model']} | {step['examples']} x {step['tokens']} | {kept} | {step['planned'] / 1e9:.2f} | "
            f"{step['measured'] / 1e9:.2f} | "
            f"{step['planned_over_measured']:.2f} |"
        )
    lines += [
        "",
        "| model of recipe | device | n | labels | generating, items/s | scoring labels, items/s | ratio | right: "
        "generating, scoring |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in results["labels"].values():
        speed, right = each["items_per_second"], each["accuracy"]
        lines.append(
            f"| `{each['recipe']}` | {each['device']}, {each['batch']} at once | {each['n']} | {each['labels']} | "
            f"{speed['generated']:.2f} | {speed['labels']:.2f} | **{each['ratio']:.2f}** | {right['generated']:.3f}, "
            f"{right['labels']:.3f} |"
        )
    machine = results["step"]["machine"]
    lines += ["", f"({machine['processor']}, {machine['cores']} cores.)"]
    return "\n".join(lines) + "\n"


def _habits(result: dict[str, Any]) -> str:
    linear, encoder = result["linear"], result["encoder"]
    years = encoder["years"]
    named = ", ".join(f"{name} (n={found['n']:,})" for name, found in years.items())
    columns = [
        linear["quarters"],
        linear["months"],
        *(found["shares"] for found in years.values()),
        encoder["forward"]["shares"],
    ]
    lines = [
        f"Top-1 / top-3 of NVD's labels. The first two columns: the linear model ({linear['digest'][:12]}, n={linear['n']:,}), the "
        "shift fitted to three quarters of the window's CVEs, or to other months of it. The others: the encoder "
        f"({encoder['digest'][:12]}), the shift fitted to {encoder['window']:,} CVEs of the window, labels of {named}; last the "
        "other way round.",
        "",
        "| traits of the labels | share of the shift beyond them | quarters at random | other months | "
        + " | ".join(years)
        + " | the window, by those years' shift |",
        "|---|---|" + "---|" * len(columns),
    ]
    for traits, said in (("without_traits", ""), ("with_traits", "yes")):
        for place, row in enumerate(linear["quarters"][traits]):
            shipped = traits == "with_traits" and row["share"] == result["shipped_share"]
            cells = [f"{each[traits][place]['top1']:.3f} / {each[traits][place]['top3']:.3f}" for each in columns]
            share = f"**{row['share']:g}**" if shipped else f"{row['share']:g}"
            lines.append(f"| {said} | {share} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


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


def _rare(result: dict[str, Any]) -> str:
    floor = result["shipped_floor"]
    at_floor = next(each for each in result["floors"] if each["floor"] == floor)
    lines = [
        f"Model `{result['model']}` ({result['model_digest'][:12]}), {result['labels']} labels; {result['entries']} entries in "
        f"the table, CWE {result['cwe_version']}; policy {result['policy']}; "
        f"`{result['command']}`. CVEs whose assigned entry is none of the labels, without those that MITRE names as observed "
        "examples; 95 % intervals:",
        "",
        "| CVEs | n | assigned entry among the nearest 3 | among the nearest 10 | nothing suggested "
        f"| shown to the user (nothing suggested, among the nearest 3, similarity at least {floor}) |",
        "|---|---|---|---|---|---|",
    ]
    for part in ("older", "development", "later"):
        found = result["recall"][part]
        shares = [found["recall_at_3"], found["recall_at_10"], found["nothing_suggested"], at_floor["reached_of_rare"][part]]
        lines.append(f"| {part} | {shares[0]['n']:,} | {' | '.join(map(_share, shares))} |")
    weak, whole = at_floor["shown_of_ordinary_where_nothing_is_suggested"], at_floor["shown_of_all_ordinary"]
    right = at_floor["right_of_shown_in_development_and_later"]
    n = sum(result["recall"][part]["recall_at_3"]["n"] + whole[part]["n"] for part in whole)
    lines += [
        "",
        f"The floor {floor} is {result['chosen_by']}: {_share(weak['development'])} of {weak['development']['n']:,}; of the "
        f"{weak['later']['n']:,} later ones {_share(weak['later'])}.",
        "",
        f"So it helps seldom. Of the {n:,} CVEs of both newer splits, {right['n']} are shown rare entries, and for "
        f"{round(right['share'] * right['n'])} of these the assigned one is among them: {_share(right)}. For the others it is "
        "a false alarm, by the labels that were assigned.",
    ]
    return "\n".join(lines) + "\n"


def _share(found: dict[str, Any]) -> str:
    low, high = found["interval_95"]
    return f"{found['share']:.3f} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
