"""Recipes from YAML: by bundled name or by path, keys once, unknown keys refused, every fault in one message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ctiforge.core.errors import RecipeError, did_you_mean

__all__ = ["RecipeKind", "StrictModel", "bundled_recipe_path", "bundled_recipes", "load_recipe_file"]

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

RecipeKind = Literal["classifier", "corpus", "encoder", "lora", "triage"]
"""What a recipe makes; a bundled recipe's file name starts with it and a hyphen, which may be left out."""

_COPY_COMMAND = {
    "classifier": "ctiforge train cp",
    "corpus": "ctiforge corpus cp",
    "encoder": "ctiforge train cp",
    "lora": "ctiforge train cp",
    "triage": "ctiforge triage cp",
}


class StrictModel(BaseModel):
    """A part of a recipe: unknown keys are faults, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


RecipeModel = TypeVar("RecipeModel", bound=StrictModel)


class _Loader(yaml.SafeLoader):
    """YAML whose dates stay text (so that an impossible one is a fault with a place) and whose keys occur once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is set twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def _construct_text(self, node: yaml.ScalarNode) -> str:
        return str(self.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader._construct_text)


def bundled_recipes(kind: RecipeKind) -> tuple[str, ...]:
    """Names of the recipes of one kind that come with ctiforge."""
    names = (entry.name for entry in resources.files("ctiforge.recipes").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.startswith(f"{kind}-") and name.endswith(".yaml")))


def bundled_recipe_path(name: str) -> Path:
    """Return the file of a bundled recipe."""
    return Path(str(resources.files("ctiforge.recipes") / f"{name}.yaml"))


def load_recipe_file(name_or_path: str | os.PathLike[str], kind: RecipeKind, model: type[RecipeModel]) -> RecipeModel:
    """Read a recipe by bundled name or by path.

    Raises:
        RecipeError: unknown name, unreadable YAML, or faults in the settings - all of them in one message.
    """
    text, origin = _read(os.fspath(name_or_path), kind)
    try:
        settings = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin}: not YAML: {error}", fix="correct the line named above") from None
    if not isinstance(settings, dict):
        fix = f"copy a bundled one: {_COPY_COMMAND[kind]} NAME FILE"
        raise RecipeError(f"{origin}: a recipe is a mapping of settings", fix=fix)
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        faults = "\n".join(f"  {_place(fault['loc'])}: {_explain(fault, model)}" for fault in error.errors())
        raise RecipeError(f"{origin}: {error.error_count()} fault(s)\n{faults}", fix="correct these settings") from None


def _read(name_or_path: str, kind: RecipeKind) -> tuple[str, str]:
    names = bundled_recipes(kind)
    for name in (name_or_path, f"{kind}-{name_or_path}"):
        if name in names:
            return bundled_recipe_path(name).read_text("utf-8"), name
    path = Path(name_or_path)
    try:
        return path.read_text("utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        hint = did_you_mean(name_or_path, names) or f"bundled recipes: {', '.join(names)}"
        raise RecipeError(f"no recipe named {name_or_path!r} and no readable file there ({error})", fix=hint) from None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "recipe"


def _explain(fault: ErrorDetails, model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        *place, key = fault["loc"]
        return f"unknown setting. {did_you_mean(str(key), _settings_at(model, place))}".rstrip()
    return fault["msg"].removeprefix("Value error, ")


def _settings_at(model: type[BaseModel], place: list[int | str]) -> list[str]:
    """Return the names that may stand at a place of the recipe."""
    parts = [model]
    for step in place:
        fields = [part.model_fields[str(step)] for part in parts if str(step) in part.model_fields]
        if fields:  # else a number in a list, or a key of a mapping
            parts = [part for found in fields for part in _models_in(found.annotation)]
    return [name for part in parts for name in part.model_fields]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
