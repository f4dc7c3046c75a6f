"""The recipe of a corpus: commented YAML in, checked settings out."""

from __future__ import annotations

import os
from datetime import date
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ctiforge.core.advisory import Party
from ctiforge.core.errors import did_you_mean
from ctiforge.core.ids import parse_cve_id, parse_cwe_id
from ctiforge.corpus.contamination.settings import Level
from ctiforge.corpus.qa.settings import DEFAULT_COUNTS
from ctiforge.recipes.reading import StrictModel, load_recipe_file

__all__ = [
    "Balance",
    "Conflicts",
    "CorpusRecipe",
    "Decontamination",
    "Deduplication",
    "Instruction",
    "LabelPolicy",
    "ModelQa",
    "Qa",
    "QaSource",
    "QuestionCounts",
    "Rcm",
    "Reason",
    "Source",
    "Split",
    "Years",
    "load_recipe",
]

Conflicts = Literal["majority", "newest", "drop"]
"""Which record stays of equal texts with different labels: one with the most frequent label (of several such labels, the one
of the newest record), the newest, or none."""

_Share = Annotated[float, Field(gt=0, le=1)]
_Count = Annotated[int, Field(ge=1)]


def _placeholders(template: str) -> set[str]:
    try:
        return {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise ValueError(f"not a template: {error}; write {{{{ and }}}} for braces that are meant") from None


def _check_template(template: str, needed: set[str], allowed: set[str]) -> str:
    found = _placeholders(template)
    if missing := needed - found:
        raise ValueError(f"lacks {', '.join(f'{{{name}}}' for name in sorted(missing))}")
    if unknown := found - allowed:
        known = ", ".join(f"{{{name}}}" for name in sorted(allowed))
        raise ValueError(f"has {', '.join(f'{{{name}}}' for name in sorted(unknown))}, but only {known} can be filled in")
    return template


def _check_cve_id(text: str) -> str:
    if parse_cve_id(text) != text:
        raise ValueError(f"{text!r} is not a CVE ID such as CVE-2025-53000")
    return text


def _check_view(text: str) -> str:
    if parse_cwe_id(text) != text:
        raise ValueError(f"{text!r} is not a CWE view such as CWE-1003")
    return text


class Source(StrictModel):
    """One feed of vulnerability records."""

    path: str
    """File below the data folder."""
    licence: str
    """Licence of its texts and labels; it goes into every record."""


class Years(StrictModel):
    """A range of years, both included."""

    first: Annotated[int, Field(ge=1988, le=2100)] = 1988
    last: Annotated[int, Field(ge=1988, le=2100)] = 2100
    by: Literal["cve_id", "published"] = "cve_id"
    """The year in the CVE ID, or that of the publication."""

    @field_validator("last")
    @classmethod
    def _check_order(cls, last: int, info: ValidationInfo) -> int:
        if last < info.data.get("first", 0):
            raise ValueError("is before first")
        return last


class LabelPolicy(StrictModel):
    """Which entry a CVE is labelled with."""

    prefer: Annotated[list[Party], Field(min_length=1)]
    """Parties, the most trusted first; others are not heard."""
    consensus: Literal["none", "agree", "required"] = "none"
    """``agree``: CVEs whose parties share no entry are left out; ``required``: so are those that one party alone labelled."""
    usage: Literal["as-is", "allowed-only"] = "as-is"
    """``as-is``: what the party wrote, where it is a live weakness that MITRE does not prohibit. ``allowed-only``: nothing but
    Allowed and Allowed-with-Review entries; others are replaced as `replace` says."""
    replace: Literal["evidence", "first", "never"] = "evidence"
    """For ``allowed-only``, where MITRE names several entries instead: the one whose words the description has, the first, or
    leave the CVE out. One replacement that stands alone is taken in any case but ``never``."""
    view: Annotated[str, AfterValidator(_check_view)] | None = None
    """Members of this view only, e.g. ``CWE-1003``."""
    min_support: _Count = 1
    """Labels with fewer records in the finished corpus are left out."""


class Instruction(StrictModel):
    """One wording of the task."""

    text: Annotated[str, AfterValidator(lambda text: _check_template(text, {"description"}, {"description"}))]
    """``{description}`` stands for the CVE's description."""
    weight: Annotated[float, Field(gt=0)] = 1.0


class Reason(StrictModel):
    """One wording of the justification."""

    text: str
    """``{phrase}`` stands for the quoted phrase, ``{name}`` for the name of the CWE."""
    weight: Annotated[float, Field(gt=0)] = 1.0


class Rcm(StrictModel):
    """CVE-to-CWE examples."""

    years: Years = Years()
    labels: LabelPolicy
    min_characters: _Count = 40
    max_characters: _Count = 6000
    instructions: Annotated[list[Instruction], Field(min_length=1)]
    reasons: Annotated[list[Reason], Field(min_length=1)]
    """Wordings where the description has a phrase that shows the weakness."""
    reasons_without_phrase: list[Reason] = Field(default_factory=list)
    """Wordings where it has none; empty: such a CVE is left out."""
    limit: _Count | None = None
    """Records at most, drawn by the seed."""

    @field_validator("reasons")
    @classmethod
    def _check_reasons(cls, reasons: list[Reason]) -> list[Reason]:
        for reason in reasons:
            _check_template(reason.text, {"phrase", "name"}, {"phrase", "name"})
        return reasons

    @field_validator("reasons_without_phrase")
    @classmethod
    def _check_reasons_without(cls, reasons: list[Reason]) -> list[Reason]:
        for reason in reasons:
            _check_template(reason.text, {"name"}, {"name"})
        return reasons


class QaSource(StrictModel):
    """A catalogue or a feed to ask about."""

    kind: Literal["attack", "capec", "cwe", "cve"]
    path: Annotated[str, Field(validate_default=True)] = ""
    """File below the data folder; for ``cwe`` it may be left out: the texts of the installed package ``cwe2``."""
    licence: str

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str, info: ValidationInfo) -> str:
        if not path and info.data.get("kind", "cwe") != "cwe":
            raise ValueError("names no file")
        return path


class QuestionCounts(StrictModel):
    """How many questions one generator makes."""

    choice: Annotated[int, Field(ge=0)] = 0
    short: Annotated[int, Field(ge=0)] = 0


def _check_generator(name: str) -> str:
    if name not in DEFAULT_COUNTS:
        raise ValueError(f"no question generator {name!r}. {did_you_mean(name, DEFAULT_COUNTS)}".rstrip())
    return name


_GeneratorName = Annotated[str, AfterValidator(_check_generator)]


class Qa(StrictModel):
    """Questions made by rule from CTI objects; see `ctiforge.corpus.qa`."""

    sources: Annotated[list[QaSource], Field(min_length=1)]
    years: Years = Years()
    """CVE records of these years only, by CVE ID."""
    generators: list[_GeneratorName] = Field(default_factory=list)
    """Names of the generators to use; empty for all."""
    counts: dict[_GeneratorName, QuestionCounts] = Field(default_factory=dict)
    """Questions of single generators; the others share the rest of `make` in their usual proportions."""
    make: _Count | None = None
    """Questions to make; some leave later."""
    limit: _Count | None = None
    """Records at most in the corpus, drawn by the seed."""

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, sources: list[QaSource]) -> list[QaSource]:
        for kind in ("capec", "cwe"):
            if sum(source.kind == kind for source in sources) > 1:
                raise ValueError(f"more than one source of kind {kind}")
        return sources


class ModelQa(StrictModel):
    """Questions written by a model about CVE records, and checked against them; see `ctiforge.corpus.model_qa`."""

    records: _Count
    """How many CVE records to ask about, drawn by the seed from those that are left after decontamination."""
    instruction: Annotated[str, AfterValidator(lambda text: _check_template(text, {"record"}, {"record"}))]
    """``{record}`` stands for the record. The model must answer with a JSON object: question, answer, quote."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: _Count = 400
    licence: str
    """Licence of what the model writes."""
    min_support: _Share = 0.7
    """Share of the answer's words that must stand in the record."""


class Deduplication(StrictModel):
    """Equal and nearly equal texts, within each kind of record."""

    conflicts: Conflicts = "majority"
    near_duplicate: _Share | None = 0.9
    """Jaccard index of the sets of word shingles from which two texts count as nearly equal; null: not looked for."""
    shingle: Annotated[int, Field(ge=1, le=8)] = 1
    """Words of a shingle."""
    near_conflicts: Literal["keep", "remove"] = "keep"
    """Nearly equal texts with different labels: one changed word may be the weakness, so both can stay."""


class Decontamination(StrictModel):
    """Benchmark files whose items must not be in the corpus."""

    against: Annotated[list[str], Field(min_length=1)]
    """Files below the data folder."""
    remove: Annotated[list[Level], Field(min_length=1)]
    """Levels that remove a record; the others are only counted."""
    near_duplicate: _Share = 0.8
    """Jaccard index of the word sets from which a text counts as nearly equal."""
    rare_words: _Share = 0.45
    """Level ``ngram``: the same index with words weighted by rarity."""
    rare_phrases: _Share = 0.5
    """Level ``ngram``: share of the shorter text's rare phrases."""


class Balance(StrictModel):
    """Against a corpus that is mostly one label or one kind of question."""

    max_per_label: _Count | None = None
    """CVE-to-CWE records of one label at most, drawn by the seed."""
    max_per_generator: _Count | None = None
    """Questions of one generator at most, drawn by the seed."""


class Split(StrictModel):
    """Development by date: records from `development_from` on; older ones and those without a date train."""

    cve_development_from: date
    """For everything about a CVE, questions too, by the CVE's publication."""
    object_development_from: date
    """For questions about other objects, by the day that the object was created."""
    reserved: dict[Annotated[str, AfterValidator(_check_cve_id)], date] = Field(default_factory=dict)
    """Known reservation dates of CVE IDs, to date records that carry none (`ctiforge.sources.reservation_dates`)."""


class CorpusRecipe(StrictModel):
    """Everything that decides the corpus, apart from the bytes of the data files."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    description: str
    seed: int
    sources: list[Source] = Field(default_factory=list)
    """Feeds in order of trust: the first description found for a CVE is used."""
    rcm: Rcm | None = None
    qa: Annotated[Qa | None, Field(validate_default=True)] = None
    model_qa: ModelQa | None = None
    deduplicate: Deduplication = Deduplication()
    decontaminate: Decontamination
    balance: Balance = Balance()
    split: Split
    system_prompt: str = ""
    """First message of every conversation in the chat files; empty for none."""

    # Checks of fields, not of the model: pydantic runs the latter only once everything else is right.
    @field_validator("rcm")
    @classmethod
    def _check_rcm(cls, rcm: Rcm | None, info: ValidationInfo) -> Rcm | None:
        if rcm is not None and not info.data.get("sources", True):
            raise ValueError("needs sources")
        return rcm

    @field_validator("qa")
    @classmethod
    def _check_qa(cls, qa: Qa | None, info: ValidationInfo) -> Qa | None:
        if qa is None and info.data.get("rcm", True) is None:
            raise ValueError("neither rcm nor qa: there is nothing to build")
        return qa

    @field_validator("decontaminate")
    @classmethod
    def _check_benchmarks(cls, decontaminate: Decontamination, info: ValidationInfo) -> Decontamination:
        learnt = {source.path for source in info.data.get("sources", [])}
        if both := sorted(learnt.intersection(decontaminate.against)):
            raise ValueError(f"{', '.join(both)} is a benchmark file and a source; nothing learns from a benchmark")
        return decontaminate

    @field_validator("model_qa")
    @classmethod
    def _check_model_qa(cls, model_qa: ModelQa | None, info: ValidationInfo) -> ModelQa | None:
        if model_qa is not None and info.data.get("rcm", True) is None:
            raise ValueError("asks about the CVEs of rcm, which is not there")
        return model_qa


def load_recipe(name_or_path: str | os.PathLike[str]) -> CorpusRecipe:
    """Read a recipe by bundled name or by path.

    Raises:
        RecipeError: unknown name, unreadable YAML, or faults in the settings - all of them in one message.
    """
    return load_recipe_file(name_or_path, "corpus", CorpusRecipe)
