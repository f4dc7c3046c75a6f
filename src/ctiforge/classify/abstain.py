"""When to say 'not enough information', and which reason to give.

Abstaining is an answer (MITRE's mapping guidance: do not map what the text does not say; CWE-20 is no place for unknowns).
"""

from __future__ import annotations

import re
from typing import Final

from ctiforge.classify.prediction import AbstainReason
from ctiforge.core.advisory import Advisory

__all__ = ["is_vague", "looks_english", "missing_text_reason"]

# The commonest English words; a text of some length without them is not English prose.
_ENGLISH: Final = frozenset(
    "a an and are as at be been before by can could does for from has have in into is it may not of on or prior that the this "
    "through to up used uses using via was when where which with within without allow allows attacker attackers".split()
)
_WORD = re.compile(r"[^\W\d_]+")
_MIN_WORDS_TO_JUDGE = 8
_MIN_ENGLISH_SHARE = 0.08
_MIN_LATIN_SHARE = 0.6

_VAGUE = re.compile(
    r"unspecified (?:vulnerabilit|vector|impact|issue|other)|unknown (?:vector|impact|vulnerabilit|attack vector)"
    r"|details (?:are|were|have) not (?:been )?(?:disclosed|provided|available|specified)"
    r"|no (?:further |additional )?(?:details|information) (?:is |are )?(?:available|provided)"
    r"|(?:has been |was |is )?reserved by an organization",
    re.IGNORECASE,
)


def looks_english(text: str) -> bool:
    """Tell whether `text` can be read as English; short texts get the benefit of the doubt.

    A text of eight words or more needs 60 % Latin letters and 8 % common English words. This is a guard against feeding
    the model a language it has never seen, not a language identifier.
    """
    words = _WORD.findall(text.lower())
    letters = [char for word in words for char in word]
    latin = sum(char < "\u0250" for char in letters)
    if letters and latin < _MIN_LATIN_SHARE * len(letters):
        return False
    if len(words) < _MIN_WORDS_TO_JUDGE:
        return True
    return sum(word in _ENGLISH for word in words) >= _MIN_ENGLISH_SHARE * len(words)


def is_vague(text: str) -> bool:
    """Tell whether `text` says of itself that it leaves out what went wrong (``unspecified vulnerability``)."""
    return _VAGUE.search(text) is not None


def missing_text_reason(advisory: Advisory) -> AbstainReason:
    """Tell why an advisory has no English text: ``not_english`` if it has text in other languages, else ``no_description``."""
    return "not_english" if advisory.languages else "no_description"
