"""Which objects an option or a question names, by identifier or by name, without a context that would decide between meanings.

Features of the trained reader are made of it, so it changes only with the reader. For questions: `ctiforge.ask.mentions`.
"""

from __future__ import annotations

from typing import Final

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.terms import find_ids

__all__ = ["find_mentions"]

_LONGEST_NAME: Final = 12
_EDGES: Final = " \t.,;:!?\"'()[]\u201c\u201d\u2018\u2019"
_MOST_OF_A_NAME: Final = 4
"""A name that more objects have than these says nothing."""


def find_mentions(base: KnowledgeBase, text: str) -> tuple[str, ...]:
    """Return identifiers of the objects that `text` names, identifiers first, each once.

    Names of several words count in any spelling, the longest at each place; a name of one word only where it is all of the
    text or written with a capital inside the text (``Execution``, not ``execution``).
    """
    found: dict[str, None] = {}
    for each in find_ids(text):
        if (known := base.get(each)) is not None:
            found[known.id] = None
    words = text.split()
    place = 0
    while place < len(words):
        place += _name_at(base, words, place, found)
    return tuple(found)


def _name_at(base: KnowledgeBase, words: list[str], place: int, found: dict[str, None]) -> int:
    """Add what the longest name at `place` means, and return by how many words to go on."""
    for length in range(min(_LONGEST_NAME, len(words) - place), 0, -1):
        name = " ".join(words[place : place + length])
        for spelled in dict.fromkeys((name, name.strip(_EDGES))):
            named = base.named(spelled)
            if not 0 < len(named) <= _MOST_OF_A_NAME or (length == 1 and not _is_proper(spelled, place, len(words))):
                continue
            found.update(dict.fromkeys(named))
            return length
    return 1


def _is_proper(word: str, place: int, words: int) -> bool:
    return words == 1 or (place > 0 and word != word.lower())
