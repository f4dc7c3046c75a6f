"""`ctiforge export`: from an adapter to artefacts that others run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from ctiforge.cli.export_compare import compare
from ctiforge.cli.long_runs import timed_reporter
from ctiforge.core.errors import MissingExtraError, SettingError

__all__ = ["app"]

app = typer.Typer(
    name="export", help="Merge, extract, quantize and describe models (needs the export extra).", no_args_is_help=True
)

_OUT = typer.Option(help="Folder to write; it must not exist.")
_PRECISION = typer.Option(help="fp32 or bf16.")


def _need_extra(error: ImportError) -> MissingExtraError:
    package = (error.name or str(error)).split(".")[0]
    if package == "ctiforge":
        raise error  # a bug of ours, not a package that is missing
    return MissingExtraError(package, "export")


def _base_folder(base: str) -> Path:
    from ctiforge.models.gemma import gemma_folder

    return gemma_folder() if base == "gemma3-270m" else Path(base)


@app.command("merge")
def merge(
    adapter: Annotated[Path, typer.Argument(help="Folder that `ctiforge train lora` wrote, or of an adapter.")],
    base: Annotated[str, typer.Option(help="Folder of the base model, or gemma3-270m.")],
    out: Annotated[Path, _OUT],
    precision: Annotated[str, _PRECISION] = "bf16",
) -> None:
    """Merge an adapter into its base, and check that the result computes the same."""
    try:
        from ctiforge.export.merge import run_merge
        from ctiforge.export.model_folder import as_precision
    except ImportError as error:
        raise _need_extra(error) from None
    made = run_merge(adapter, _base_folder(base), out, precision=as_precision(precision))
    typer.echo(
        f"{made.folder}: digest {made.digest}; logits differ from base and adapter by {made.difference:.1e} of the largest\n"
        f"next: ctiforge export gguf {made.folder} --out {made.folder}-gguf"
    )


@app.command("text-only")
def text_only(
    model: Annotated[Path, typer.Argument(help="Folder of a multimodal Gemma 3 or Gemma 4 checkpoint.")],
    out: Annotated[Path, _OUT],
    precision: Annotated[str, _PRECISION] = "bf16",
) -> None:
    """Take the language model out of a multimodal checkpoint, and check that it computes the same."""
    try:
        from ctiforge.export.model_folder import as_precision
        from ctiforge.export.text_only import run_extract_text
    except ImportError as error:
        raise _need_extra(error) from None
    made = run_extract_text(model, out, precision=as_precision(precision))
    typer.echo(
        f"{made.folder}: {made.parameters:,} parameters, {made.left_out:,} left out, digest {made.digest}; "
        f"logits differ by {made.difference:.1e} of the largest"
    )


@app.command("text-only-adapter")
def text_only_adapter(
    adapter: Annotated[Path, typer.Argument(help="Folder of an adapter that was trained on a multimodal checkpoint.")],
    out: Annotated[Path, _OUT],
) -> None:
    """Make an adapter of a multimodal model one of its language model."""
    try:
        from ctiforge.export.text_only import extract_adapter
    except ImportError as error:
        raise _need_extra(error) from None
    typer.echo(f"{extract_adapter(adapter, out)}: the same tensors under the names of the text model")


@app.command("gguf")
def gguf(
    model: Annotated[Path, typer.Argument(help="Folder of a text model: merged, or extracted.")],
    out: Annotated[Path, typer.Option(help="Folder to write the files to.")],
    quantization: Annotated[
        list[str] | None, typer.Option("--quantization", "-q", help="F16, Q8_0, Q6_K, Q5_K_M, Q4_K_M; may be repeated.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="train.jsonl of the corpus it learnt from: an importance matrix is made of it.")
    ] = None,
) -> None:
    """Write GGUF files for llama.cpp and Ollama, and check each against transformers."""
    try:
        from ctiforge.export.gguf import run_export_gguf
        from ctiforge.export.gguf_quantize import QUANTIZATIONS, Quantization
    except ImportError as error:
        raise _need_extra(error) from None
    wanted = quantization or ["Q8_0", "Q4_K_M"]
    unknown = [each for each in wanted if each not in get_args(Quantization)]
    if unknown:
        raise SettingError(f"unknown quantization {unknown[0]!r}", fix=f"choose of {', '.join(QUANTIZATIONS)}")
    chosen = [each for each in QUANTIZATIONS if each in wanted]
    for made in run_export_gguf(model, out, chosen, corpus=corpus, report=timed_reporter()):
        typer.echo(f"{made.path}: {made.size / 1e6:,.1f} MB, sha256 {made.sha256}")


@app.command("lora-gguf")
def lora_gguf(
    adapter: Annotated[Path, typer.Argument(help="Folder of an adapter, or that `ctiforge train lora` wrote.")],
    base: Annotated[str, typer.Option(help="Folder of its base, or gemma3-270m.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Convert an adapter for llama.cpp, which loads it beside the GGUF file of its base."""
    try:
        from ctiforge.export.gguf import convert_adapter
        from ctiforge.export.merge import adapter_folder
    except ImportError as error:
        raise _need_extra(error) from None
    convert_adapter(adapter_folder(adapter), _base_folder(base), out)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:,.1f} MB")


@app.command("card")
def card(
    run: Annotated[Path, typer.Argument(help="Folder that `ctiforge train lora` wrote.")],
    out: Annotated[Path, typer.Option(help="File to write, such as README.md.")],
    name: Annotated[str | None, typer.Option(help="Of the model; the folder's name unless given.")] = None,
    record: Annotated[list[Path] | None, typer.Option(help="record.json of `ctiforge bench run`; may be repeated.")] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="record.json of another model, for comparison; may be repeated.")
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="Corpus folder, for its datasheet.")] = None,
    merged: Annotated[Path | None, typer.Option(help="Folder that `ctiforge export merge` wrote.")] = None,
    gguf_folder: Annotated[Path | None, typer.Option("--gguf", help="Folder that `ctiforge export gguf` wrote.")] = None,
    base: Annotated[str | None, typer.Option(help="Folder, or known name, of the base, for the hardware table.")] = None,
) -> None:
    """Render a Hugging Face model card from manifests, records and the datasheet."""
    try:
        from ctiforge.bench.model_index import render_model_index
        from ctiforge.bench.published import load_published
        from ctiforge.bench.records import load_record
        from ctiforge.cli.card_facts import check_belonging, comparisons, load_json
        from ctiforge.export.card import CardFacts, render_card
        from ctiforge.models.memory_plan import load_shape, plan_serving
        from ctiforge.models.shapes import KNOWN_SHAPES
    except ImportError as error:
        raise _need_extra(error) from None
    from ctiforge.core.files import write_text

    training = load_json(run / "manifest.json")
    called = name or run.resolve().name
    records = [load_record(path) for path in record or ()]
    others = [load_record(path) for path in beside or ()]
    files = load_json(gguf_folder / "manifest.json") if gguf_folder else None
    check_belonging(training, load_json(merged / "manifest.json") if merged else None, files, records)
    model = base or training["base"]["model"]
    shape = load_shape(model) if base or model in KNOWN_SHAPES else None
    facts = CardFacts(
        name=called,
        training=training,
        front_matter=render_model_index(records[0], called) if records else "",
        records=records,
        shape=shape,
        serving=[plan_serving(shape, quantization=each) for each in ("bf16", "Q8_0", "Q4_K_M")] if shape else (),
        datasheet=load_json(corpus / "datasheet.json") if corpus else None,
        gguf=files,
        quantization=load_json(gguf_folder / "report.json")
        if gguf_folder and (gguf_folder / "report.json").is_file()
        else None,
        comparison=comparisons(called, records, others, load_published()),
    )
    write_text(out, render_card(facts))
    typer.echo(f"{out}: the card of {called}, {len(records)} record(s)")


app.command("compare")(compare)
