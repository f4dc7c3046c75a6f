"""What counts as contamination: the levels, and the thresholds of those that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ctiforge.core.errors import SettingError, did_you_mean

__all__ = ["LEVELS", "TEXT_LEVELS", "ContaminationSettings", "Level", "parse_levels", "stricter_or_same"]

Level = Literal["exact_id", "exact_text", "near_duplicate", "ngram", "semantic", "options", "source_object"]

TEXT_LEVELS: Final[tuple[Level, ...]] = ("exact_text", "near_duplicate", "ngram", "semantic")
"""Levels that say the same of a text with less and less certainty: a pair counts at the first that it reaches."""

LEVELS: Final[tuple[Level, ...]] = ("exact_id", *TEXT_LEVELS, "options", "source_object")


@dataclass(frozen=True, slots=True)
class ContaminationSettings:
    """Thresholds, each above 0 and at most 1.

    Attributes:
        near_duplicate: Jaccard index of word sets from which a pair is a near-duplicate.
        rare_words: ``ngram``: the same index with words weighted by rarity.
        rare_phrases: ``ngram``: weight of the rare phrases in common over that of the text which has less.
        semantic: cosine of embeddings.
        phrase_words: words in a phrase.
        min_words: words that must be shared at least for ``ngram`` by words; `min_phrases`: the weight likewise for phrases,
            where one that the two texts alone have weighs 1.
        name_texts: a word in at most so many benchmark texts counts as a name, and is masked in phrases.
    """

    near_duplicate: float = 0.8
    rare_words: float = 0.52
    rare_phrases: float = 0.35
    semantic: float = 0.9
    phrase_words: int = 4
    min_words: int = 4
    min_phrases: float = 2.0
    name_texts: int = 3

    def __post_init__(self) -> None:
        for name in ("near_duplicate", "rare_words", "rare_phrases", "semantic"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise SettingError(f"{name} = {value}: not above 0 and at most 1", fix=f"give {name} such as 0.8")


def parse_levels(names: tuple[str, ...] | list[str]) -> tuple[Level, ...]:
    """Return the levels named, each once; commas separate as well as items do, ``all`` is every level.

    Raises:
        SettingError: there is no such level.
    """
    wanted = [part.strip().replace("-", "_") for name in names for part in name.split(",") if part.strip()]
    for name in wanted:
        if name != "all" and name not in LEVELS:
            hint = did_you_mean(name, LEVELS) or f"levels are {', '.join(LEVELS)}, or all"
            raise SettingError(f"no contamination level {name!r}", fix=hint)
    return LEVELS if "all" in wanted else tuple(level for level in LEVELS if level in wanted)


def stricter_or_same(level: Level) -> tuple[Level, ...]:
    """Return the levels whose finds are finds of `level` too: an exact text is a near-duplicate."""
    return TEXT_LEVELS[: TEXT_LEVELS.index(level) + 1] if level in TEXT_LEVELS else (level,)
