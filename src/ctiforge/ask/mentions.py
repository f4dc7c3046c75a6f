"""Which objects a question names: by identifier in any spelling, or by a name or alias."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import ObjectKind
from ctiforge.ask.terms import find_ids

__all__ = ["KIND_WORDS", "MARK", "Mention", "NameFinder", "Read"]

MARK: Final = "\u2063"
"""Stands for a mention in the text that is left; no question has it, for invisible characters are taken out first."""

KIND_WORDS: Final[Mapping[str, tuple[ObjectKind, ...]]] = {
    "technique": ("technique",), "subtechnique": ("technique",), "sub": ("technique",), "tactic": ("tactic",),
    "mitigation": ("mitigation",), "group": ("group",), "actor": ("group",), "adversary": ("group",),
    "software": ("software",), "malware": ("software",), "tool": ("software",), "ransomware": ("software",),
    "campaign": ("campaign",), "operation": ("campaign",), "asset": ("asset",), "component": ("data-component",),
    "source": ("data-source",), "strategy": ("detection-strategy",), "analytic": ("analytic",), "pattern": ("attack-pattern",),
    "capec": ("attack-pattern",), "weakness": ("weakness",), "cwe": ("weakness",), "vulnerability": ("vulnerability",),
    "document": ("document",), "runbook": ("document",),
}  # fmt: skip
"""What a name may stand beside in a question, and the kinds that it then has."""

_EVERYDAY: Final = frozenset(
    "accounts admin admins anchor at attack attacks audit authorization buffer carbon chaos circles cleaver cmd code "
    "collection "
    "compression computer computers credentials database databases discovery dll dns domain domains evasion execution "
    "exfiltration "
    "expand exploit exploits final firewall firmware ftp gateway group hardware hooking identity impact impersonation "
    "interception java javascript linux malware mobile net network page persistence ping play policy process proxy "
    "python query "
    "reconnaissance reg route router routers rover royal rtm script scripting server servers serverless service "
    "silence software "
    "switch system tool tools tor user users vulnerabilities web windows wiper workstation".split()
)
"""Names of one word that people write when they mean no object, such as the program ``at`` or the tactic Impact; they count
where they are quoted, written with a capital inside a sentence, or beside a word for their kind."""

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_BRACKETED = re.compile(r"\(['\"]([^'\"]{3,80})['\"]\)|\(([a-z]{3,6})\)$")
_SYMBOLS = re.compile(r"[^\w\s()]{3,}")
_MAX_WORDS: Final = 24


@dataclass(frozen=True, slots=True)
class Mention:
    """One place in a question that names objects.

    Attributes:
        text: as it is written.
        ids: identifiers of the objects that have this name, as they are now; empty for an identifier that is not held.
        kinds: what a word beside it says of its kind; empty for nothing.
        by_id: it is an identifier.
    """

    text: str
    ids: tuple[str, ...]
    kinds: tuple[ObjectKind, ...] = ()
    by_id: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A question as it was read: the mentions in their order, and the text with `MARK` in the place of each."""

    mentions: tuple[Mention, ...]
    rest: str


class NameFinder:
    """Finds names in questions to one knowledge base; makes its table of names once.

    Beside names and aliases it knows what CWE and CAPEC put into brackets: ``SQL Injection`` for CWE-89, ``CSRF`` for CWE-352.
    """

    def __init__(self, base: KnowledgeBase) -> None:
        self._base = base
        names: dict[tuple[str, ...], list[str]] = {}
        longest: dict[str, int] = {}
        for name, ids in base.names.items():
            live = [each for each in ids if not each.startswith("CVE-")]
            if _SYMBOLS.search(name):  # 'Path Traversal: "../filedir"' is not what 'path traversal' means
                continue
            for written in (name, *filter(None, chain.from_iterable(_BRACKETED.findall(name)))) if live else ():
                words = tuple(_WORD.findall(written.casefold()))
                if not words or len(words) > _MAX_WORDS or (len(words) == 1 and len(words[0]) < 2):
                    continue
                held = names.setdefault(words, [])
                held.extend(each for each in live if each not in held)
                longest[words[0]] = max(longest.get(words[0], 0), len(words))
        self._names, self._longest = names, longest

    def read(self, question: str) -> Read:
        """Return what the question names; the longest name from the left counts."""
        found = [*self._identifiers(question)]
        taken = [(start, end) for start, end, _ in found]
        for start, end, mention in self._named(question):
            if all(end <= other or start >= stop for other, stop in taken):
                found.append((start, end, mention))
        found.sort(key=lambda each: each[0])
        rest, last = [], 0
        for start, end, _ in found:
            rest += [question[last:start], MARK]
            last = end
        return Read(tuple(mention for _, _, mention in found), "".join([*rest, question[last:]]))

    def _identifiers(self, question: str) -> Iterator[tuple[int, int, Mention]]:
        for match in _ID_LIKE.finditer(question):
            if ids := find_ids(match[0]):
                held = self._base.get(ids[0])
                yield match.start(), match.end(), Mention(ids[0], (held.id,) if held else (), by_id=True)

    def _named(self, question: str) -> Iterator[tuple[int, int, Mention]]:
        words = list(_WORD.finditer(question))
        folded = [word[0].casefold() for word in words]
        place = 0
        while place < len(words):
            for length in range(min(self._longest.get(folded[place], 0), len(words) - place), 0, -1):
                for key in _spellings(folded[place : place + length]):
                    if ids := self._names.get(key):
                        break
                else:
                    continue
                start, end = words[place].start(), words[place + length - 1].end()
                kinds = _kinds_beside(folded, place, length)
                if length > 1 or self._is_meant(question, start, end, kinds, ids):
                    yield start, end, Mention(question[start:end], tuple(ids), kinds)
                    place += length - 1
                break
            place += 1

    def _is_meant(self, question: str, start: int, end: int, kinds: tuple[ObjectKind, ...], ids: list[str]) -> bool:
        word = question[start:end]
        if word.casefold() not in _EVERYDAY:
            return True
        quoted = question[start - 1 : start] in "'\"`" and start > 0
        capital = (
            word[0].isupper() and bool(question[:start].strip()) and not question[:start].rstrip().endswith((".", "?", "!"))
        )
        beside = any(self._base[each].kind in kinds for each in ids)
        return quoted or capital or beside or word == question.strip(" ?.!")


_ID_LIKE = re.compile(
    r"(?<![A-Za-z0-9])(?:CVE[-\s_]?(?:19|20)\d\d[-\s_]\d{4,19}|(?:CWE|CAPEC)[-\s_:#]{0,2}\d{1,6}"
    r"|(?:TA|DET|DS|DC|AN|[TSGMCA])\d{4}(?:[./]\d{3})?)(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def _spellings(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the words as they are, and with the last one in the singular."""
    yield tuple(words)
    if len(words) > 1 and words[-1].endswith("s"):
        yield (*words[:-1], words[-1][:-1])


def _kinds_beside(words: list[str], place: int, length: int) -> tuple[ObjectKind, ...]:
    beside = words[max(0, place - 1) : place] + words[place + length : place + length + 1]
    return tuple(kind for word in beside for kind in KIND_WORDS.get(word.rstrip("s"), KIND_WORDS.get(word, ())))
