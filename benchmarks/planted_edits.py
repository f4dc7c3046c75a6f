"""Edits that hide a copied text: what a leak looks like after somebody has gone over it."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["EDITS", "all_edits"]

_SYLLABLES = "zor vex lum tra nid kop bel qua fis mer".split()
_NAME = re.compile(r"(?<![.?!:]\s)(?<!^)\b[A-Z][\w-]*[a-z][\w-]*\b")
_VERSION = re.compile(r"\b\d+(?:\.\d+)+\b")
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_LOOKALIKE = str.maketrans("aceopxyiABCEHKMOPTX", "асеорхуіАВСЕНКМОРТХ")
_FIRST_OPTION = "\nA) "

Edit = Callable[[str, random.Random], str]


def _case(text: str, chance: random.Random) -> str:
    return text.upper() if chance.random() < 0.5 else text.lower()


def _punctuation(text: str, chance: random.Random) -> str:
    return "".join(each if each.isalnum() or each.isspace() else chance.choice(["", " ", ";"]) for each in text)


def _names(text: str, chance: random.Random) -> str:
    """Give every capitalised word inside a sentence, and every version, another name; options stay, they are the answers."""
    names: dict[str, str] = {}
    question, found, options = text.partition(_FIRST_OPTION)
    question = _NAME.sub(
        lambda match: names.setdefault(match[0], "".join(chance.choice(_SYLLABLES) for _ in range(3)).title()), question
    )
    return _VERSION.sub(lambda match: f"{chance.randrange(20)}.{chance.randrange(20)}", question) + found + options


def _order(text: str, chance: random.Random) -> str:
    sentences = _SENTENCE.split(text)
    chance.shuffle(sentences)
    return " ".join(sentences)


def _dropped(text: str, chance: random.Random) -> str:
    return " ".join(word for word in text.split() if chance.random() >= 0.1)


def _entities(text: str, chance: random.Random) -> str:
    return "".join(f"&#{ord(each)};" if chance.random() < 0.1 else each for each in html.escape(text).replace("&#", "&amp;#"))


def _lookalikes(text: str, chance: random.Random) -> str:
    return "".join(each + ("\u200b" if chance.random() < 0.05 else "") for each in text.translate(_LOOKALIKE))


EDITS: Final[Mapping[str, Edit]] = MappingProxyType({
    "case": _case,
    "punctuation": _punctuation,
    "product names changed": _names,
    "sentence order": _order,
    "10 % of words dropped": _dropped,
    "HTML entities": _entities,
    "Unicode look-alikes": _lookalikes,
})  # fmt: skip


def all_edits(text: str, chance: random.Random) -> str:
    """Return `text` after every edit, one after the other."""
    for edit in (_names, _dropped, _order, _case, _lookalikes):
        text = edit(text, chance)
    return text
