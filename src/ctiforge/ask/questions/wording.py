"""Sentences of passages made into questions and options: names taken out, sentences cut in two, other words for the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Final

__all__ = ["mask_names", "mentions_any", "reworded", "short_name", "split_sentence", "usable_sentences", "without_end"]

_LEANING: Final = re.compile(
    r"(?:it|this|these|those|they|such|however|additionally|also|furthermore|in addition|for (?:example|instance)|another|"
    r"other|note|see|similarly|thus|therefore|in this|as such)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[a-z0-9]+")
_CUT: Final = re.compile(
    r",? (?P<joint>in order to|so that|by|to|because|which|such as|including|via|through|when|if|using|with|for|from|"
    r"into|as)(?= )"
)
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "adversaries": ("attackers", "threat actors", "malicious actors"),
    "adversary": ("attacker", "threat actor"),
    "use": ("employ", "leverage", "utilize"),
    "used": ("employed", "leveraged", "utilized"),
    "uses": ("employs", "leverages", "utilizes"),
    "using": ("employing", "leveraging", "by means of"),
    "may": ("can", "might", "could"),
    "obtain": ("get", "acquire"),
    "gain": ("obtain", "get"),
    "execute": ("run", "launch"),
    "executed": ("run", "launched"),
    "execution": ("running",),
    "malicious": ("harmful", "hostile"),
    "prevent": ("stop", "block"),
    "monitor": ("watch", "track", "look"),
    "detect": ("identify", "spot", "discover"),
    "ensure": ("make sure", "verify"),
    "limit": ("restrict", "constrain"),
    "restrict": ("limit", "constrain"),
    "disable": ("turn off", "deactivate"),
    "modify": ("change", "alter"),
    "modified": ("changed", "altered"),
    "create": ("make", "set up"),
    "delete": ("remove", "erase"),
    "victim": ("target",),
    "data": ("information",),
    "information": ("data", "details"),
    "credentials": ("passwords", "authentication data"),
    "steal": ("take", "exfiltrate"),
    "sensitive": ("confidential",),
    "allow": ("permit", "let", "enable"),
    "allows": ("permits", "lets", "enables"),
    "occurs": ("happens", "arises"),
    "product": ("software", "application"),
    "software": ("product", "application"),
    "incorrectly": ("wrongly", "improperly"),
    "properly": ("correctly", "adequately"),
    "input": ("data",),
    "attacker": ("adversary", "malicious user"),
    "system": ("host", "machine"),
    "systems": ("hosts", "machines"),
    "network": ("networked",),
    "attempt": ("try",),
    "access": ("reach",),
    "privileges": ("permissions", "rights"),
    "permissions": ("rights", "privileges"),
    "regularly": ("periodically", "routinely"),
    "implement": ("apply", "enforce", "deploy"),
    "consider": ("think about",),
    "perform": ("carry out", "conduct"),
    "conduct": ("perform", "carry out"),
    "file": ("document",),
    "files": ("documents",),
    "commands": ("instructions",),
    "hide": ("conceal", "mask"),
    "evade": ("avoid", "bypass", "escape"),
    "bypass": ("circumvent", "evade"),
    "compromised": ("infected", "breached"),
    "remote": ("distant",),
    "users": ("people", "employees"),
    "enable": ("turn on", "allow"),
    "vulnerabilities": ("flaws", "weaknesses"),
    "vulnerability": ("flaw", "weakness"),
    "check": ("verify", "validate"),
    "validate": ("check", "verify"),
}
_DROPPABLE: Final = frozenset(
    "also often commonly typically generally possibly potentially usually directly further various several certain many "
    "specific particular otherwise however then well very more most highly easily simply".split()
)
_FEW_WORDS: Final = 6
_SHARE_THESAURUS: Final = 0.67
_NOTHING: Final[Mapping[str, Sequence[str]]] = {}
_KEPT: Final = frozenset("not no except which what who how when where why all these".split())
"""What turns or asks a question stays."""


def short_name(name: str) -> str:
    """Return a technique's own name without its parent's."""
    return name.rpartition(": ")[2]


def without_end(text: str) -> str:
    """Return an option's text without its full stop, with a capital."""
    text = text.strip().rstrip(".").strip()
    return text[:1].upper() + text[1:]


def mentions_any(text: str, names: Iterable[str]) -> bool:
    """Say whether `text` has the words of one of the names in a row, whatever their case."""
    folded = f" {' '.join(_WORD.findall(text.casefold()))} "
    return any(f" {' '.join(words)} " in folded for name in names if (words := _WORD.findall(name.casefold())))


def mask_names(text: str, names: Iterable[str], pronoun: str) -> str:
    """Return `text` with every one of the names replaced, longest first."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = re.sub(rf"(?<!\w)(?:The )?{re.escape(name)}(?!\w)", pronoun, text, flags=re.IGNORECASE)
    return text[:1].upper() + text[1:]


def usable_sentences(sentences: Iterable[str], shortest: int = 45, longest: int = 260) -> list[str]:
    """Return the sentences that stand alone: neither short nor long, ended, not leaning on the one before."""
    return [
        each
        for each in sentences
        if shortest <= len(each) <= longest and each[-1] in ".!?" and not _LEANING.match(each) and "http" not in each
    ]


def split_sentence(sentence: str, rng: Random) -> tuple[str, str, str] | None:
    """Return what stands before a joint, the joint and what follows it, each part long enough to be asked; None if nowhere."""
    cuts = [each for each in _CUT.finditer(sentence) if each.start() >= 30 and len(sentence) - each.end() >= 18]
    if not cuts:
        return None
    cut = rng.choice(cuts)
    return sentence[: cut.start()].rstrip(","), cut["joint"], sentence[cut.end() :].strip().rstrip(".")


def reworded(text: str, rng: Random, strength: float, thesaurus: Mapping[str, Sequence[str]] = _NOTHING) -> str:
    """Return `text` as another writer might put it, who remembers it less well the higher `strength` is, 0 to 1.

    Words that have others are replaced with this probability, fillers left out, and other words of longer texts left out with
    a third of it. The first word and words with a capital or a digit, which belong to names, stay.

    Args:
        thesaurus: further words with others, taken two times in three that a word would be replaced.
    """
    if strength <= 0:
        return text
    pieces = re.split(r"(\s+)", text)
    long = len(pieces) > 2 * _FEW_WORDS
    words: list[str] = []
    for piece in pieces:
        bare = piece.strip(".,;:()?!'\"").casefold() if not words else piece.strip(".,;:()?!'\"")
        filler = bare in _DROPPABLE
        loose = piece.islower() and (filler or long) and bare not in _KEPT
        if words and loose and rng.random() < strength * (1.0 if filler else 0.33):
            words.pop()  # the space before it
            continue
        others = _SYNONYMS.get(bare) or (thesaurus.get(bare) if rng.random() < _SHARE_THESAURUS else None)
        if others and rng.random() < strength:
            other = rng.choice(others)
            start = piece.casefold().index(bare)
            own = piece[start : start + len(bare)]
            other = other[:1].upper() + other[1:] if own[:1].isupper() else other
            piece = piece[:start] + other + piece[start + len(bare) :]
        words.append(piece)
    return "".join(words)
