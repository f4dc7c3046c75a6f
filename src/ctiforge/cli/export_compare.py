"""`ctiforge export compare`: what each quantized file loses against its parent, on the same items."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ctiforge.cli.card_facts import load_json
from ctiforge.cli.model_options import read_options
from ctiforge.core.errors import InputError, MissingExtraError
from ctiforge.core.files import write_json

__all__ = ["compare"]

_WARN_LOSS = 0.01


def compare(
    gguf: Annotated[Path, typer.Argument(help="Folder that `ctiforge export gguf` wrote; report.json goes there.")],
    task: Annotated[str, typer.Option("--task", "-t", help="Benchmark task.")],
    data: Annotated[Path, typer.Option(help="Folder with the task's file.")],
    parent: Annotated[
        str, typer.Option(help="What the files were made of: F16 (the file), or a folder in the Hugging Face layout.")
    ] = "F16",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = 64,
    perplexity_corpus: Annotated[
        Path | None, typer.Option(help="development.jsonl of the corpus: perplexity on it, which no file has learnt.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Folder that the files were made of, for the perplexity.")] = None,
    texts: Annotated[int, typer.Option(min=1, help="Records for the perplexity.")] = 100,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Setting of llama.cpp: threads=2, prompt_cache=true, parallel=4."),
    ] = None,
    warn: Annotated[float, typer.Option(min=0, help="Warn where more accuracy than this is lost.")] = _WARN_LOSS,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Run a task greedily on parent and files, and compare item by item; the same command goes on after a kill."""
    try:
        from ctiforge.bench.compare import compare_runs
        from ctiforge.bench.protocol import customize, find_protocol
        from ctiforge.bench.runner import prepare_tasks
        from ctiforge.bench.tasks import load_task
    except ImportError as error:
        raise MissingExtraError((error.name or "scipy").split(".")[0], "bench") from None
    manifest = load_json(gguf / "manifest.json")
    files = {each["quantization"]: each["name"] for each in manifest["files"]}
    if parent == "F16" and "F16" not in files:
        raise InputError(f"{gguf} has no F16 file", fix="make one (ctiforge export gguf -q F16 ...), or give --parent FOLDER")
    protocol = customize(find_protocol("greedy"), {"max_tokens": max_tokens, "concurrency": 1})
    loaded = prepare_tasks([load_task(task, data)], protocol, limit)
    specs = {"parent": f"gguf:{gguf / files['F16']}" if parent == "F16" else f"hf:{parent}"}
    specs |= {name: f"gguf:{gguf / file}" for name, file in files.items() if name != "F16" or parent != "F16"}
    called = loaded[0].task.name
    runs = {name: gguf / "runs" / f"{called}-{name}" for name in specs}
    given = read_options(option or [])
    options = {name: given if spec.startswith("gguf:") else {} for name, spec in specs.items()}
    speeds = {name: _run(spec, options[name], loaded, protocol, runs[name], _say) for name, spec in specs.items()}
    perplexities = _perplexities(gguf, model, perplexity_corpus, texts, files)
    rows: list[dict[str, Any]] = []
    for name in [each for each in specs if each != "parent"]:
        found = compare_runs(runs["parent"], runs[name]).tasks[0]
        row: dict[str, Any] = {
            "quantization": name,
            "task": called,
            "n": found.n,
            "accuracy": found.accuracy_b,
            "parent_accuracy": found.accuracy_a,
            "difference": found.difference,
            "ci95": [found.ci95_low, found.ci95_high],
            "p": found.p_value,
            "tokens_per_second": speeds[name],
        }
        if name in perplexities:
            row |= {"perplexity": perplexities[name], "parent_perplexity": perplexities["parent"]}
        rows.append(row)
        if found.difference < -warn:
            typer.echo(f"warning: {name} loses {-found.difference:.3f} of accuracy on {called} (n={found.n:,})", err=True)
    report: dict[str, Any] = {
        "parent": parent,
        "protocol": protocol.name,
        "max_tokens": max_tokens,
        "limit": limit,
        "files": rows,
    }
    write_json(gguf / "report.json", report)
    if as_json:
        typer.echo(json.dumps(report))
        return
    for row in rows:
        low, high = row["ci95"][0], row["ci95"][1]
        more = f", perplexity {row['perplexity']:.3f} ({row['parent_perplexity']:.3f})" if "perplexity" in row else ""
        typer.echo(
            f"{row['quantization']}: {called} {row['accuracy']:.4f} against {row['parent_accuracy']:.4f} (n={row['n']:,}, "
            f"{low:+.4f} to {high:+.4f}, p {row['p']:.2g}), {row['tokens_per_second']:,.0f} tokens/s{more}"
        )


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _run(spec: str, options: dict[str, Any], loaded: Any, protocol: Any, out: Path, say: Callable[[str], None]) -> float:
    """Run or complete one benchmark; return tokens read and written a second of answering."""
    from ctiforge.bench.runner import run_benchmark
    from ctiforge.cli.bench_progress import BenchProgress
    from ctiforge.models.registry import open_model

    async def go() -> None:
        opened = open_model(spec, **options)
        try:
            await run_benchmark(opened, loaded, protocol, out, progress=BenchProgress(1, visible=sys.stderr.isatty()))
        finally:
            await opened.close()

    started = time.monotonic()
    asyncio.run(go())
    say(f"{out.name}: {time.monotonic() - started:,.0f} s")
    lines = [json.loads(line) for line in (out / "completions.jsonl").read_text("utf-8").splitlines()]
    tokens = sum((line.get("prompt_tokens") or 0) + (line.get("completion_tokens") or 0) for line in lines)
    seconds = sum(line.get("seconds") or 0.0 for line in lines)
    return round(tokens / seconds, 1) if seconds else 0.0


def _perplexities(gguf: Path, model: Path | None, corpus: Path | None, count: int, files: dict[str, str]) -> dict[str, float]:
    if corpus is None:
        return {}
    if model is None:
        raise InputError("--perplexity-corpus needs --model", fix="give the folder that the files were made of")
    try:
        from ctiforge.export.gguf import corpus_texts
        from ctiforge.export.perplexity import measure_perplexities
    except ImportError as error:
        raise MissingExtraError((error.name or "torch").split(".")[0], "export") from None
    found = measure_perplexities(model, [gguf / name for name in files.values()], corpus_texts(corpus, count), report=_say)
    return dict(zip(("parent", *files), found, strict=True))
