"""The recipe of the embedded classifier: commented YAML in, checked settings out."""

from __future__ import annotations

import os
from datetime import date
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from ctiforge.core.advisory import Party
from ctiforge.core.errors import RecipeError, did_you_mean
from ctiforge.core.ids import parse_cve_id
from ctiforge.train.fitting import Loss

__all__ = [
    "ClassifierRecipe",
    "Exclusion",
    "Fit",
    "InstructionSource",
    "Source",
    "Split",
    "Window",
    "bundled_recipe_path",
    "bundled_recipes",
    "load_recipe",
]

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def _check_cve_id(text: str) -> str:
    if parse_cve_id(text) != text:
        raise ValueError(f"{text!r} is not a CVE ID such as CVE-2025-53000")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(_Strict):
    """One feed to learn from."""

    path: str
    """File below the data folder."""
    licence: str
    """Licence of the labels and texts, copied into the manifest."""


class InstructionSource(Source):
    """Labelled texts without CVE IDs, as instruction pairs (see `ctiforge.train.labelled_texts`)."""

    party: Party
    """Whose labels these are."""
    prompt_field: str = "prompt"
    answer_field: str = "response"
    text_after: str
    """The description is what follows this in the prompt."""


class Exclusion(_Strict):
    """Benchmark files whose CVEs must not be learnt: by every CVE ID in the file and by normalised text."""

    path: str
    text_column: str | None = None
    """Column that holds the CVE description; None where the file has none."""


class Window(_Strict):
    """A second development split: CVEs published from `since` to before `until` that `party` labelled, by its labels."""

    party: Party
    since: date
    until: date
    fit_shift: bool = True
    """Whether policy nvd's shift of scores is fitted on it (if `party` is ``nvd``); else it is only scored."""


class Fit(_Strict):
    """One linear model, fitted by stochastic gradient descent, and its share in the sum."""

    loss: Loss
    share: Annotated[float, Field(gt=0)]
    learning_rate: Annotated[float, Field(gt=0)]
    """At the beginning; it falls linearly to zero."""
    batch_size: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1)]
    """How often each text is seen; more fits closer."""


class Split(_Strict):
    """Cuts by date. Records before `development_from` train; from there to `test_from` they develop; later ones test."""

    development_from: date
    test_from: date
    reserved: dict[Annotated[str, AfterValidator(_check_cve_id)], date] = Field(default_factory=dict)
    """Known reservation dates of CVE IDs, to date records that carry no date (see `ctiforge.sources.reservation_dates`)."""
    windows: list[Window] = Field(default_factory=list)
    """Scored by cross-fitting, to see how the model follows one party's habits, and to fit policy nvd's shift. The model that
    is written is fitted with them."""
    folds: Annotated[int, Field(ge=2)] = 3
    """Parts of the windows' examples; each is scored by a model fitted without it."""

    @field_validator("test_from")
    @classmethod
    def _check_order(cls, test_from: date, info: ValidationInfo) -> date:
        # A field's check, not the model's: pydantic runs the latter only once everything else is right.
        if info.data.get("development_from", date.min) >= test_from:
            raise ValueError("must be after development_from")
        return test_from


class ClassifierRecipe(_Strict):
    """Everything that decides the trained model, apart from the bytes of the data files."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    description: str
    sources: Annotated[list[Source], Field(min_length=1)]
    instructions: list[InstructionSource] = Field(default_factory=list)
    exclude: list[Exclusion]
    near_duplicate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Texts whose word set has this Jaccard index with a benchmark text, or more, are left out too; None: only equal ones."""
    party_order: Annotated[list[Party], Field(min_length=1)]
    """Whose labels count as right when several parties assigned some. All of these parties' labels are learnt."""
    min_examples: Annotated[int, Field(ge=1)]
    """Labels with fewer training examples are left out."""
    split: Split
    max_n: Annotated[int, Field(ge=1, le=4)]
    min_documents: Annotated[int, Field(ge=1)]
    """An n-gram must occur in this many training texts."""
    fits: Annotated[list[Fit], Field(min_length=1)]
    """Linear models that are added up into one."""
    prune: Annotated[float, Field(ge=0, lt=1)]
    """Weights below this share of their label's largest are set to zero."""
    target_precision: Annotated[float, Field(gt=0, lt=1)]
    """The abstention threshold is the lowest that reaches this precision on the development split."""
    seed: int


_PARTS: dict[int | str, type[BaseModel]] = {
    "sources": Source,
    "instructions": InstructionSource,
    "exclude": Exclusion,
    "split": Split,
    "fits": Fit,
    "windows": Window,
}


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


def bundled_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with ctiforge."""
    folder = resources.files("ctiforge.recipes")
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def bundled_recipe_path(name: str) -> Path:
    """Return the file of a bundled recipe."""
    return Path(str(resources.files("ctiforge.recipes") / f"{name}.yaml"))


def load_recipe(name_or_path: str | os.PathLike[str]) -> ClassifierRecipe:
    """Read a recipe by bundled name or by path.

    Raises:
        RecipeError: unknown name, unreadable YAML, or faults in the settings - all of them in one message.
    """
    text, origin = _read(os.fspath(name_or_path))
    try:
        settings = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin}: not YAML: {error}", fix="correct the line named above") from None
    if not isinstance(settings, dict):
        raise RecipeError(f"{origin}: a recipe is a mapping of settings", fix="copy a bundled one: ctiforge train cp NAME FILE")
    try:
        return ClassifierRecipe.model_validate(settings)
    except ValidationError as error:
        faults = "\n".join(f"  {_place(fault['loc'])}: {_explain(fault)}" for fault in error.errors())
        raise RecipeError(f"{origin}: {error.error_count()} fault(s)\n{faults}", fix="correct these settings") from None


def _read(name_or_path: str) -> tuple[str, str]:
    names = bundled_recipes()
    if name_or_path in names:
        return bundled_recipe_path(name_or_path).read_text("utf-8"), name_or_path
    path = Path(name_or_path)
    try:
        return path.read_text("utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        hint = did_you_mean(name_or_path, names) or f"bundled recipes: {', '.join(names)}"
        raise RecipeError(f"no recipe named {name_or_path!r} and no readable file there ({error})", fix=hint) from None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "recipe"


def _explain(fault: ErrorDetails) -> str:
    if fault["type"] == "extra_forbidden":
        *place, key = fault["loc"]
        part = _PARTS[place[0]] if place else ClassifierRecipe
        return f"unknown setting. {did_you_mean(str(key), part.model_fields)}".rstrip()
    return fault["msg"].removeprefix("Value error, ")
