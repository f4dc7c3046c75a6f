"""`ctiforge plan`: how much memory a language model takes, before anybody downloads it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ctiforge.core.errors import MissingExtraError, SettingError

__all__ = ["plan"]


def plan(
    model: Annotated[
        str, typer.Argument(help="Folder or config.json of a model, or a known name; see --known.")
    ] = "google/gemma-4-E2B-it",
    context: Annotated[int, typer.Option(min=1, help="Tokens of prompt and completion.")] = 4096,
    quantization: Annotated[
        list[str] | None, typer.Option("--quantization", "-q", help="fp32, bf16, Q8_0, Q6_K, Q5_K_M, Q4_K_M; may be repeated.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Conversations served at once.")] = 1,
    recipe: Annotated[str | None, typer.Option(help="A recipe for LoRA: what training by it takes.")] = None,
    known: Annotated[bool, typer.Option("--known", help="List the names of models whose shape is known.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: bytes.")] = False,
) -> None:
    """Count parameters and say what serving, and training by a recipe, takes, from the configuration alone."""
    try:
        from ctiforge.models.memory_plan import BITS, as_quantization, load_shape, plan_serving
        from ctiforge.models.shapes import KNOWN_SHAPES

        if recipe is not None:
            from ctiforge.train.lora_memory import plan_recipe
            from ctiforge.train.lora_recipe import load_lora_recipe
    except ImportError as error:
        raise MissingExtraError((error.name or "torch").split(".")[0], "local" if recipe is None else "lora") from None
    if known:
        for name in KNOWN_SHAPES:
            typer.echo(name)
        return
    wanted = quantization or ["bf16", "Q8_0", "Q4_K_M"]
    unknown = [each for each in wanted if each not in BITS]
    if unknown:
        raise SettingError(f"unknown quantization {unknown[0]!r}", fix=f"choose of {', '.join(BITS)}")
    shape = load_shape(model)
    serving = [plan_serving(shape, context=context, quantization=as_quantization(each), batch=batch) for each in wanted]
    training = []
    if recipe is not None:
        settings = load_lora_recipe(recipe)
        options = [False, True] if settings.activation_checkpointing == "auto" else [settings.activation_checkpointing is True]
        where = "gpu" if settings.precision == "bf16" or settings.device == "gpu" else "cpu"
        training = [plan_recipe(shape, settings, checkpointing=option, device=where) for option in options]
    if as_json:
        words = {"model": model, "parameters": asdict(shape.parameters), "serving": [asdict(each) for each in serving]}
        typer.echo(json.dumps(words | {"training": [asdict(each) for each in training]}))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    parameters = shape.parameters
    console.print(
        f"{model}: {parameters.total / 1e9:.2f} billion parameters, {parameters.effective / 1e9:.2f} of them effective a token"
    )
    table = Table("serving", "weights", f"keys and values, {context:,} tokens", "runtime", "total", title="GB (1e9 bytes)")
    for each in serving:
        table.add_row(each.quantization, *(f"{value / 1e9:.2f}" for value in (each.weights, each.cache, each.work, each.total)))
    console.print(table)
    if training:
        table = Table(
            "training",
            "weights",
            "adapter, optimizer",
            "activations",
            "logits",
            "total",
            title=f"recipe {recipe} on a {where.upper()}, GB",
        )
        for row in training:
            name = "recomputing activations" if row.checkpointing else "keeping activations"
            values = (row.weights, row.adapter, row.activations, row.logits, row.total)
            table.add_row(name, *(f"{value / 1e9:.2f}" for value in values))
        console.print(table)
