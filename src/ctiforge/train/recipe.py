"""The recipe of the embedded classifier: commented YAML in, checked settings out."""

from __future__ import annotations

import os
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ctiforge.core.advisory import Party
from ctiforge.core.ids import parse_cve_id
from ctiforge.recipes.reading import StrictModel, load_recipe_file
from ctiforge.train.fitting import Loss

__all__ = [
    "ClassifierRecipe",
    "Distillation",
    "ExampleRecipe",
    "Exclusion",
    "Fit",
    "Hidden",
    "InstructionSource",
    "Source",
    "Split",
    "Window",
    "load_recipe",
]


def _check_cve_id(text: str) -> str:
    if parse_cve_id(text) != text:
        raise ValueError(f"{text!r} is not a CVE ID such as CVE-2025-53000")
    return text


class Source(StrictModel):
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


class Exclusion(StrictModel):
    """Benchmark files whose CVEs must not be learnt: by every CVE ID in the file and by normalised text."""

    path: str
    text_column: str | None = None
    """Column that holds the CVE description; None where the file has none."""


class Window(StrictModel):
    """A second development split: CVEs published from `since` to before `until` that `party` labelled, by its labels."""

    party: Party
    since: date
    until: date
    fit_shift: bool = True
    """Whether policy nvd's shift of scores is fitted on it (if `party` is ``nvd``); else it is only scored."""


class Fit(StrictModel):
    """One linear model, fitted by stochastic gradient descent, and its share in the sum."""

    loss: Loss
    share: Annotated[float, Field(gt=0)]
    learning_rate: Annotated[float, Field(gt=0)]
    """At the beginning; it falls linearly to zero."""
    batch_size: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1)]
    """How often each text is seen; more fits closer."""


class Hidden(StrictModel):
    """A hidden layer of rectified units, fitted beside the linear models (see `ctiforge.train.hidden`)."""

    share: Annotated[float, Field(gt=0)]
    """What its scores are multiplied with before they are added to those of the linear models."""
    units: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the units that are silent for a text while it is learnt."""


class Distillation(StrictModel):
    """Learn from what a teacher says of descriptions that nobody labelled (see `ctiforge.train.distillation`)."""

    since: date
    """Of descriptions published on this day or later, before the development split."""


class Split(StrictModel):
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


class ExampleRecipe(StrictModel):
    """Which examples there are and how dates cut them: the same for every classifier."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    description: str
    sources: Annotated[list[Source], Field(min_length=1)]
    instructions: list[InstructionSource] = Field(default_factory=list)
    exclude: list[Exclusion]
    near_duplicate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Texts whose word set has this Jaccard index with a benchmark text, or more, are left out too; None: only equal ones."""
    shared_phrases: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Texts that share more than this part of their word 8-grams with one benchmark text are left out too; None: they stay."""
    party_order: Annotated[list[Party], Field(min_length=1)]
    """Whose labels count as right when several parties assigned some. All of these parties' labels are learnt."""
    min_examples: Annotated[int, Field(ge=1)]
    """Labels with fewer training examples are left out."""
    split: Split


class ClassifierRecipe(ExampleRecipe):
    """Everything that decides the trained model, apart from the bytes of the data files."""

    max_n: Annotated[int, Field(ge=1, le=4)]
    min_documents: Annotated[int, Field(ge=1)]
    """An n-gram must occur in this many training texts."""
    fits: Annotated[list[Fit], Field(min_length=1)]
    """Linear models that are added up into one."""
    hidden: Hidden | None = None
    teacher: Distillation | None = None
    """Used where a teacher is given (``--teacher``); None: there is none."""
    prune: Annotated[float, Field(ge=0, lt=1)]
    """Weights below this share of their label's largest are set to zero."""
    target_precision: Annotated[float, Field(gt=0, lt=1)]
    """The abstention threshold is the lowest that reaches this precision on the development split."""
    seed: int


def load_recipe(name_or_path: str | os.PathLike[str]) -> ClassifierRecipe:
    """Read a recipe by bundled name or by path.

    Raises:
        RecipeError: unknown name, unreadable YAML, or faults in the settings - all of them in one message.
    """
    return load_recipe_file(name_or_path, "classifier", ClassifierRecipe)
