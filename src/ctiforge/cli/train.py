"""`ctiforge train`: recipes in, trained models out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctiforge.cli.long_runs import resumable, timed_reporter
from ctiforge.cli.recipe_files import copy_bundled_recipe
from ctiforge.core.errors import MissingExtraError, SettingError

if TYPE_CHECKING:
    from ctiforge.models.cwe_model import CweModel

__all__ = ["app"]

app = typer.Typer(name="train", help="Train models by recipe (needs the train extra).", no_args_is_help=True)

_RECIPE = typer.Option(help="A bundled recipe's name or the path of a YAML file.")


def _need_extra(error: ImportError, extra: str = "train") -> MissingExtraError:
    package = (error.name or str(error)).split(".")[0]
    if package == "ctiforge":
        raise error  # a bug of ours, not a package that is missing
    return MissingExtraError(package, extra)


@app.command("ls")
def list_recipes() -> None:
    """List the bundled recipes."""
    try:
        from ctiforge.recipes.reading import bundled_recipes
        from ctiforge.train.encoder_recipe import load_encoder_recipe
        from ctiforge.train.lora_recipe import load_lora_recipe
        from ctiforge.train.recipe import load_recipe
    except ImportError as error:
        raise _need_extra(error) from None
    for name in bundled_recipes("classifier"):
        typer.echo(f"{name}  {load_recipe(name).description}")
    for name in bundled_recipes("encoder"):
        typer.echo(f"{name}  {load_encoder_recipe(name).description}")
    for name in bundled_recipes("lora"):
        typer.echo(f"{name.removeprefix('lora-')}  {load_lora_recipe(name).description}")


@app.command("cp")
def copy_recipe(name: Annotated[str, typer.Argument()], target: Annotated[Path, typer.Argument()]) -> None:
    """Copy a bundled recipe, comments and all, to change it."""
    try:
        from ctiforge.train.lora_recipe import is_lora_recipe

        if is_lora_recipe(name):
            copy_bundled_recipe(f"lora-{name.removeprefix('lora-')}", target, "lora")
        else:
            copy_bundled_recipe(name, target, "encoder" if name.startswith("encoder-") else "classifier")
    except ImportError as error:
        raise _need_extra(error) from None
    typer.echo(f"{target}: change it, then: ctiforge train validate {target}")


@app.command("validate")
def validate(recipe: Annotated[str, typer.Argument()]) -> None:
    """Check a recipe and show every fault."""
    try:
        from ctiforge.train.encoder_recipe import is_encoder_recipe, load_encoder_recipe
        from ctiforge.train.lora_recipe import is_lora_recipe, load_lora_recipe
        from ctiforge.train.recipe import load_recipe
    except ImportError as error:
        raise _need_extra(error) from None
    if is_lora_recipe(recipe):
        name = load_lora_recipe(recipe).name
    else:
        name = load_encoder_recipe(recipe).name if is_encoder_recipe(recipe) else load_recipe(recipe).name
    typer.echo(f"{recipe}: a valid recipe for {name!r}")


@app.command("classifier")
def classifier(
    data: Annotated[Path, typer.Option(help="Folder that holds the files named in the recipe.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    recipe: Annotated[str, _RECIPE] = "classifier-fast",
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Learn also from what this model folder says of unlabelled descriptions; several: from their mean."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each teacher.")] = 2,
) -> None:
    """Train the embedded CWE classifier: read, split by date, fit, calibrate, measure, write."""
    try:
        from ctiforge.train.classifier import run_train_classifier
        from ctiforge.train.recipe import load_recipe
    except ImportError as error:
        raise _need_extra(error) from None
    report = timed_reporter()

    settings = load_recipe(recipe)
    teachers = [_load_model(each, threads) for each in teacher or []]
    made = run_train_classifier(settings, data, out, teachers=teachers, report=report)
    scores = made.development
    report("done")
    size = sum(file.stat().st_size for file in made.folder.iterdir() if file.is_file())
    typer.echo(
        f"{made.folder}: {made.labels} labels, {made.features:,} n-grams, {size / 1e6:.1f} MB, sha256 {made.digest}\n"
        f"development split, n={scores.n:,}: top-1 {scores.top1:.4f}, top-3 {scores.top3:.4f}, "
        f"calibration error {scores.calibration_error:.4f}\n"
        f"try it: ctiforge classify --model {made.folder} 'SQL injection in the login form'"
    )


@app.command("encoder")
def encoder(
    data: Annotated[Path, typer.Option(help="Folder that holds the files named in the recipe.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model to; checkpoints and metrics go to its folder 'run'.")],
    recipe: Annotated[str, _RECIPE] = "encoder-accurate",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda (CUDA or ROCm), cuda:1.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; as many as torch likes unless given.")] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="What `ctiforge train teacher` wrote, for a recipe that learns from one.")
    ] = None,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, help="Compute this many texts at once and add up, where memory is short.")
    ] = None,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Write a checkpoint at least this often.")] = 2.0,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew instead of going on from the checkpoint.")] = False,
) -> None:
    """Fine-tune a small encoder for CWE classification and export it to ONNX; the same command goes on after a kill."""
    try:
        from ctiforge.train.encoder import run_train_encoder
        from ctiforge.train.encoder_fitting import Controls
        from ctiforge.train.encoder_recipe import load_encoder_recipe
    except ImportError as error:
        raise _need_extra(error, "encoder") from None
    report = timed_reporter()

    settings = load_encoder_recipe(recipe)
    controls = Controls(checkpoint_seconds=60 * checkpoint_minutes, micro_batch=micro_batch, report=report)
    with resumable():
        made = run_train_encoder(
            settings, data, out, device=device, threads=threads, restart=restart, teacher=teacher, controls=controls
        )
    report("done")
    scores, int8 = made.development, made.export["int8"]
    typer.echo(
        f"{made.folder}: {made.labels} labels, {made.train_examples:,} examples, {made.int8_bytes / 1e6:.1f} MB in 8 bits, "
        f"sha256 {made.digest}\n"
        f"development split, n={scores['n']:,}: top-1 {scores['top1']:.4f}, top-3 {scores['top3']:.4f}, macro-F1 "
        f"{scores['macro_f1']:.4f}, calibration error {scores['half_fitted_calibration_error']:.4f}\n"
        f"8 bits against fp32: top-1 {int8['top1_difference']:+.4f}, the same first answer for {int8['same_first']:.1%}"
    )


@app.command("teacher")
def teacher(
    data: Annotated[Path, typer.Option(help="Folder that holds the files named in the recipes.")],
    out: Annotated[Path, typer.Option(help="Folder to write teacher.npz to; checkpoints go to a folder for each recipe.")],
    recipe: Annotated[list[str], typer.Option(help="A bundled recipe's name or a path; give several for an ensemble.")],
    model: Annotated[
        list[Path] | None,
        typer.Option(
            help="Fit nothing: this model folder judges the descriptions without a label that the one recipe wants, be it an "
            "encoder's or a classifier's. Given several times, the mean of what they say is written."
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="A finished model folder that judges descriptions without a label beside the recipes."),
    ] = None,
    folds: Annotated[int, typer.Option(min=1, help="Fits of each recipe; every one judges what it has not learnt.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda (CUDA or ROCm), cuda:1.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; as many as torch likes unless given.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew instead of going on from the checkpoint.")] = False,
) -> None:
    """Let an ensemble judge every description, for a small encoder to learn from; the same command goes on after a kill."""
    try:
        from ctiforge.train.encoder_fitting import Controls
        from ctiforge.train.encoder_recipe import load_encoder_recipe
        from ctiforge.train.teacher import run_train_teacher
    except ImportError as error:
        raise _need_extra(error, "encoder") from None
    report = timed_reporter()

    if model:
        if beside:
            raise SettingError("--model judges alone, and --beside stands beside fits", fix="leave one of them out")
        _judge(model, recipe, data, out, threads or 1, report)
        return
    recipes = [load_encoder_recipe(each) for each in recipe]
    others = [_load_model(each, threads or 1) for each in beside or []]
    with resumable():
        made = run_train_teacher(
            recipes, data, out, folds=folds, beside=others, device=device, threads=threads, restart=restart,
            controls=Controls(report=report),
        )  # fmt: skip
    report("done")
    typer.echo(f"{made.file}: {made.texts:,} descriptions, sha256 {made.digest}\non the development split:")
    for name, scores in made.scores.items():
        typer.echo(
            f"  {name}: n={scores['n']:,}, top-1 {scores['top1']:.4f}, top-3 {scores['top3']:.4f}, loss {scores['loss']:.4f}"
        )


def _judge(models: list[Path], recipes: list[str], data: Path, out: Path, threads: int, report: Callable[[str], None]) -> None:
    from ctiforge.sources.cwe import load_catalogue
    from ctiforge.train.distillation import judge_unlabelled
    from ctiforge.train.encoder_recipe import is_encoder_recipe, load_encoder_recipe
    from ctiforge.train.recipe import load_recipe

    if len(recipes) != 1:
        raise SettingError("--model judges the descriptions of one recipe", fix="give --recipe once")
    recipe = (load_encoder_recipe if is_encoder_recipe(recipes[0]) else load_recipe)(recipes[0])
    with resumable():
        made = judge_unlabelled([_load_model(each, threads) for each in models], recipe, data, out, load_catalogue(), report)
    typer.echo(f"{made.file}: {made.texts:,} descriptions, sha256 {made.digest}")


def _load_model(folder: Path, threads: int) -> CweModel:
    from ctiforge.classify.classifier import BUNDLED_MODELS, bundled_model_path
    from ctiforge.models.loading import load_cwe_model

    return load_cwe_model(folder, {each: bundled_model_path(each) for each in BUNDLED_MODELS}, threads=threads)


@app.command("blend")
def blend(
    encoder: Annotated[Path, typer.Option(help="Folder that `ctiforge train encoder` wrote.")],
    linear: Annotated[Path, typer.Option(help="Folder that `ctiforge train classifier` wrote, with its folder 'run'.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the files named in the encoder's recipe.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    second: Annotated[
        Path | None,
        typer.Option(help="An encoder trained upon the first one's embeddings, for texts that the blend is not sure of."),
    ] = None,
    sure: Annotated[
        float | None,
        typer.Option(
            min=0, help="From this probability on the linear model answers alone; the lowest without a loss by default."
        ),
    ] = None,
    unsure: Annotated[
        float | None,
        typer.Option(
            min=0, help="Below this probability the second encoder reads a text; the lowest without a loss by default."
        ),
    ] = None,
    unsure_nvd: Annotated[float | None, typer.Option(min=0, help="The same for policy nvd.")] = None,
    name: Annotated[str, typer.Option(help="What the model is called; stands in every prediction.")] = "accurate",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Blend an encoder, or two, with a linear model: weights and calibration from the development split."""
    try:
        from ctiforge.classify.classifier import BUNDLED_MODELS, bundled_model_path
        from ctiforge.train.blend import run_train_blend
    except ImportError as error:
        raise _need_extra(error, "encoder") from None
    report = timed_reporter()

    shipped = {each: bundled_model_path(each) for each in BUNDLED_MODELS}
    made = run_train_blend(
        encoder, linear, data, out, second=second, sure=sure, unsure=unsure, unsure_nvd=unsure_nvd, name=name, shipped=shipped,
        threads=threads, report=report,
    )  # fmt: skip
    scores = made.development
    alone = ", ".join(f"{part} {found['top1']:.4f}" for part, found in scores["parts_alone"].items())
    typer.echo(
        f"{made.folder}: {made.labels} labels, sha256 {made.digest}\n"
        f"development split, n={scores['n']:,}: top-1 {scores['top1']:.4f} (alone: {alone}), top-3 {scores['top3']:.4f}, "
        f"macro-F1 {scores['macro_f1']:.4f}, calibration error {scores['half_fitted_calibration_error']:.4f}\n"
        f"the linear model answers {scores['left_to_the_linear_model']:.0%} alone"
        + (f", the second encoder reads {scores['read_by_the_second_encoder']:.0%}" if second else "")
    )


@app.command("lora")
def lora(
    base: Annotated[str, typer.Option(help="Folder of the base model; gemma3-270m and tiny-random need none.")],
    corpus: Annotated[Path, typer.Option(help="Folder that `ctiforge corpus build` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write to: adapter, manifest.json, and what led to them.")],
    recipe: Annotated[str, _RECIPE] = "gemma4defense-2b",
    adapter: Annotated[
        Path | None, typer.Option(help="Begin with this adapter of the same base and shape instead of a fresh one.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda (CUDA or ROCm), cuda:1.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; as many as torch likes unless given.")] = None,
    report_to: Annotated[
        list[str] | None, typer.Option(help="Send metrics to tensorboard or wandb as well; may be given twice.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew instead of going on from the checkpoint.")] = False,
) -> None:
    """Fine-tune a language model with LoRA, stage by stage; the same command goes on after a kill."""
    try:
        from ctiforge.train.lora import run_train_lora
        from ctiforge.train.lora_recipe import load_lora_recipe
    except ImportError as error:
        raise _need_extra(error, "lora") from None
    report = timed_reporter()

    settings = load_lora_recipe(recipe)
    with resumable():
        made = run_train_lora(
            settings,
            base,
            corpus,
            out,
            adapter=adapter,
            device=device,
            threads=threads,
            restart=restart,
            report_to=report_to or (),
            report=report,
        )
    loss = "" if made.evaluation_loss is None else f", development loss {made.evaluation_loss:.4f}"
    typer.echo(
        f"{made.folder}: {made.examples:,} examples, {made.seconds / 60:.1f} min{loss}, sha256 {made.digest}\n"
        f"next: ctiforge export merge {out} --base {base} --out {out}-merged"
    )


@app.command("rare")
def rare(
    model: Annotated[Path, typer.Option(help="Folder of a linear model, or of a blend with one; two files are added to it.")],
    cwe_xml: Annotated[
        Path | None, typer.Option("--cwe", help="MITRE's CWE XML (.xml, .zip, .gz). Default: the one in the package cwe2.")
    ] = None,
    floor: Annotated[
        float | None, typer.Option(min=0, max=1, help="Similarity from which an entry is shown. Default: see docs/rare.md.")
    ] = None,
) -> None:
    """Let a model reach CWEs that it has no label for, by the words of their definitions; the model itself stays as it is."""
    try:
        from ctiforge.classify.classifier import BUNDLED_MODELS, bundled_model_path
        from ctiforge.models.rare import DEFAULT_FLOOR
        from ctiforge.sources.cwe import load_catalogue
        from ctiforge.sources.cwe_texts import load_cwe_texts
        from ctiforge.train.rare import run_train_rare
    except ImportError as error:
        raise _need_extra(error) from None
    shipped = {each: bundled_model_path(each) for each in BUNDLED_MODELS}
    texts = load_cwe_texts(cwe_xml)
    made = run_train_rare(model, texts, load_catalogue(), shipped=shipped, floor=DEFAULT_FLOOR if floor is None else floor)
    typer.echo(f"{made.folder}: {made.entries} entries of CWE {texts.version}, {made.size / 1e3:.0f} kB, sha256 {made.digest}")
