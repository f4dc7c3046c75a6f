"""`ctiforge corpus build`, `ls`, `cp` and `validate`: recipes in, training corpora out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctiforge.cli.build_progress import BuildProgress
from ctiforge.cli.recipe_files import copy_bundled_recipe
from ctiforge.core.errors import MissingExtraError

if TYPE_CHECKING:
    from ctiforge.corpus.model_qa import ModelSource

__all__ = ["build", "copy_recipe", "list_recipes", "register", "validate"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the group."""
    app.command("build")(build)
    app.command("ls")(list_recipes)
    app.command("cp")(copy_recipe)
    app.command("validate")(validate)


def _need_extra(error: ImportError) -> MissingExtraError:
    package = (error.name or str(error)).split(".")[0]
    if package == "ctiforge":
        raise error  # a bug of ours, not a package that is missing
    return MissingExtraError(package, "corpus")


def list_recipes() -> None:
    """List the bundled recipes of corpora."""
    try:
        from ctiforge.corpus.recipe import load_recipe
        from ctiforge.recipes.reading import bundled_recipes
    except ImportError as error:
        raise _need_extra(error) from None
    for name in bundled_recipes("corpus"):
        typer.echo(f"{name}  {load_recipe(name).description}")


def copy_recipe(name: Annotated[str, typer.Argument()], target: Annotated[Path, typer.Argument()]) -> None:
    """Copy a bundled recipe, comments and all, to change it."""
    try:
        copy_bundled_recipe(name, target, "corpus")
    except ImportError as error:
        raise _need_extra(error) from None
    typer.echo(f"{target}: change it, then: ctiforge corpus validate {target}")


def validate(recipe: Annotated[str, typer.Argument()]) -> None:
    """Check a recipe and show every fault."""
    try:
        from ctiforge.corpus.recipe import load_recipe
    except ImportError as error:
        raise _need_extra(error) from None
    typer.echo(f"{recipe}: a valid recipe for {load_recipe(recipe).name!r}")


def build(
    recipe: Annotated[str, typer.Argument(help="A bundled recipe's name or the path of a YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the files named in the recipe.")],
    out: Annotated[Path, typer.Option(help="Folder to write the corpus to; finished stages are kept in it.")],
    model: Annotated[
        str | None, typer.Option(help="For model_qa: base URL of an OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1.")
    ] = None,
    model_name: Annotated[str | None, typer.Option(help="Model to ask there; needed if it serves more than one.")] = None,
    api_key_env: Annotated[str, typer.Option(help="Environment variable with the key of the endpoint.")] = "OPENAI_API_KEY",
) -> None:
    """Build a training corpus: read, label, ask, decontaminate, de-duplicate, balance, split, write, describe."""
    try:
        from ctiforge.corpus.pipeline import run_build
        from ctiforge.corpus.recipe import load_recipe
    except ImportError as error:
        raise _need_extra(error) from None
    started = time.monotonic()
    with BuildProgress(visible=sys.stderr.isatty()) as progress:
        made = run_build(
            load_recipe(recipe), data, out, model=_model_source(model, model_name, api_key_env), watch=progress.watch
        )
    skipped = [stage.name for stage in made.stages if stage.skipped]
    rejected = sum(sum(stage.reasons.values()) for stage in made.stages)
    lines = [
        f"{out}: {made.records['train']:,} records to train on, {made.records['development']:,} for development",
        f"{rejected:,} left, with their reasons in {out / 'rejects.jsonl'}; all counts in {out / 'datasheet.md'}",
        f"done again: {len(made.stages) - len(skipped)} of {len(made.stages)} stages, {time.monotonic() - started:.1f} s"
        + (f"; skipped, because nothing they depend on changed: {', '.join(skipped)}" if skipped else ""),
        *(f"not written: {name}: {why}" for name, why in made.not_written.items()),
        f"check it: ctiforge corpus audit {out / 'train.jsonl'} --against DIR",
    ]
    typer.echo("\n".join(lines))


def _model_source(url: str | None, name: str | None, api_key_env: str) -> ModelSource | None:
    if url is None:
        return None
    from ctiforge.corpus.model_qa import ModelSource
    from ctiforge.models.openai_http import OpenAIModel

    return ModelSource(f"{url} {name or ''}".strip(), lambda: OpenAIModel(url, name, api_key_env=api_key_env))
