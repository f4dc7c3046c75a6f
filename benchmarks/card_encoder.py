"""How the encoder of a blend came to be: what it goes on from, what makes it cheap, and the commands that lead to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ctiforge.train.encoder_recipe import load_encoder_recipe

__all__ = ["cheaper_states", "encoder_commands", "encoder_origin", "linear_commands"]

_RUNS = "runs/"
_FIRST, _SAID, _OF_TWO = "runs/fast-first", "runs/said", "runs/teacher-of-two"


def encoder_origin(recipe: Mapping[str, Any]) -> str:
    """Return the pretrained model that an encoder comes from, and the trainings in between."""
    *between, first = _trainings(recipe)
    names = [f"`{each['name']}`" for each in [*between[1:], first]] if between else []
    return f"`{first['base_model']}`" + (f" by way of {', '.join(reversed(names))}" if names else "")


def cheaper_states(recipe: Mapping[str, Any]) -> str:
    """Return a sentence about states that are merged, with a space before it; empty where none are."""
    if not recipe.get("halve_after"):
        return ""
    places = " and ".join("before the first layer" if after == 0 else f"after layer {after}" for after in recipe["halve_after"])
    return f" Neighbouring states become one {places}, so that a text costs less ([training](../training-encoder.md))."


def encoder_commands(recipe: Mapping[str, Any], blends: Sequence[str] = ()) -> list[str]:
    """Return the commands that lead to an encoder: its teacher, the trainings that it goes on from, its own.

    Args:
        blends: names of the models that alone teach where a recipe learns from nothing else; those of `linear_commands`.
    """
    commands = []
    for each in reversed(list(_trainings(recipe))):
        teacher = each.get("teacher") or {}
        folder, asked = _teacher(each, blends) if teacher else ("", "")
        if teacher and (command := f"ctiforge train teacher {asked} --data DIR --out {folder}") not in commands:
            commands.append(command)
        commands.append(
            f"ctiforge train encoder --recipe encoder-{each['name']}"
            + (f" --teacher {folder}/teacher.npz" if teacher else "")
            + f" --data DIR --out {_RUNS}{each['name']}"
        )
    return commands


def _teacher(recipe: Mapping[str, Any], blends: Sequence[str]) -> tuple[str, str]:
    """Return the folder of an encoder's teacher, and what the command that makes it is given."""
    if recipe["teacher"].get("unlabelled_alone"):
        return _SAID, "".join(f"--model {_RUNS}{name} " for name in blends) + "--recipe classifier-fast"
    if recipe.get("embeddings"):
        return _OF_TWO, f"--recipe encoder-teacher-minilm --recipe encoder-teacher-smollm2 --beside {_RUNS}blend-accurate"
    return f"{_RUNS}teacher", f"--recipe encoder-teacher-minilm --beside {_FIRST}"


def linear_commands(teachers: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the commands that lead to `fast`: to the blends that taught it (named ``blend-`` and the encoder's recipe), to itself.

    The linear model in those blends is a first one, which the six-layer encoder taught alone.
    """
    train = "ctiforge train classifier --recipe classifier-fast --data DIR --out"
    if not teachers:
        return [f"{train} runs/fast"]
    encoders = [each["name"].removeprefix("blend-") for each in teachers]
    first = [
        *encoder_commands(load_encoder_recipe("encoder-accurate").model_dump()),
        f"{train} {_FIRST} --teacher runs/accurate",
    ]
    reached = [encoder_commands(load_encoder_recipe(f"encoder-{name}").model_dump()) for name in encoders]
    blends = [
        f"ctiforge train blend --encoder runs/{name} --linear {_FIRST} --name blend-{name} --data DIR --out runs/blend-{name}"
        for name in encoders
    ]
    last = f"{train} runs/fast" + "".join(f" --teacher runs/{each['name']}" for each in teachers)
    return [*first, *chain(*reached), *blends, last]


def _trainings(recipe: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the recipes of an encoder and of those that it goes on from, its own first."""
    yield recipe
    while recipe["base_model"].startswith(_RUNS):
        recipe = load_encoder_recipe(f"encoder-{recipe['base_model'].removeprefix(_RUNS)}").model_dump()
        yield recipe
