"""`ctiforge train`: recipes in, trained models out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ctiforge.cli.recipe_files import copy_bundled_recipe
from ctiforge.core.errors import MissingExtraError

__all__ = ["app"]

app = typer.Typer(name="train", help="Train models by recipe (needs the train extra).", no_args_is_help=True)

_RECIPE = typer.Option(help="A bundled recipe's name or the path of a YAML file.")


def _need_extra(error: ImportError) -> MissingExtraError:
    package = (error.name or str(error)).split(".")[0]
    if package == "ctiforge":
        raise error  # a bug of ours, not a package that is missing
    return MissingExtraError(package, "train")


@app.command("ls")
def list_recipes() -> None:
    """List the bundled recipes."""
    try:
        from ctiforge.recipes.reading import bundled_recipes
        from ctiforge.train.recipe import load_recipe
    except ImportError as error:
        raise _need_extra(error) from None
    for name in bundled_recipes("classifier"):
        typer.echo(f"{name}  {load_recipe(name).description}")


@app.command("cp")
def copy_recipe(name: Annotated[str, typer.Argument()], target: Annotated[Path, typer.Argument()]) -> None:
    """Copy a bundled recipe, comments and all, to change it."""
    try:
        copy_bundled_recipe(name, target, "classifier")
    except ImportError as error:
        raise _need_extra(error) from None
    typer.echo(f"{target}: change it, then: ctiforge train validate {target}")


@app.command("validate")
def validate(recipe: Annotated[str, typer.Argument()]) -> None:
    """Check a recipe and show every fault."""
    try:
        from ctiforge.train.recipe import load_recipe
    except ImportError as error:
        raise _need_extra(error) from None
    typer.echo(f"{recipe}: a valid recipe for {load_recipe(recipe).name!r}")


@app.command("classifier")
def classifier(
    data: Annotated[Path, typer.Option(help="Folder that holds the files named in the recipe.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    recipe: Annotated[str, _RECIPE] = "classifier-fast",
) -> None:
    """Train the embedded CWE classifier: read, split by date, fit, calibrate, measure, write."""
    try:
        from ctiforge.train.classifier import run_train_classifier
        from ctiforge.train.recipe import load_recipe
    except ImportError as error:
        raise _need_extra(error) from None
    started = time.monotonic()

    def report(message: str) -> None:
        typer.echo(f"[{time.monotonic() - started:6.1f} s] {message}", err=True)

    made = run_train_classifier(load_recipe(recipe), data, out, report=report)
    scores = made.development
    report("done")
    size = sum(file.stat().st_size for file in made.folder.iterdir())
    typer.echo(
        f"{made.folder}: {made.labels} labels, {made.features:,} n-grams, {size / 1e6:.1f} MB, sha256 {made.digest}\n"
        f"development split, n={scores.n:,}: top-1 {scores.top1:.4f}, top-3 {scores.top3:.4f}, "
        f"calibration error {scores.calibration_error:.4f}\n"
        f"try it: ctiforge classify --model {made.folder} 'SQL injection in the login form'"
    )
