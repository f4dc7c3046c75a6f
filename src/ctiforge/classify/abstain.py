"""When to say 'not enough information', and which reason to give.

Abstaining is an answer (MITRE's mapping guidance: do not map what the text does not say; CWE-20 is no place for unknowns).
"""

from __future__ import annotations

import re
from typing import Final

from ctiforge.classify.prediction import AbstainReason
from ctiforge.core.advisory import Advisory

__all__ = ["is_unspecified", "is_vague", "looks_english", "missing_text_reason"]

_WORD = re.compile(r"[^\W\d_]+")
_NOT_LATIN = re.compile(r"[^\W\d_\u0000-\u024f]")
# Function words: those of English, and those of other languages of Latin script that English texts do not use.
_ENGLISH: Final = frozenset(
    "a an and are as at be been before by can could does for from has have in into is it may not of on or prior that the this "
    "through to up used uses using via was when where which with within without allow allows".split()
)
_OTHER: Final = frozenset(
    "auf aus bei das dem den der des die durch ein eine einer eines für ist mit nicht oder sich und von werden wird zu über "
    "au aux avec ce cette dans est et la le les lors par pas peut permet permettant pour qui sur une "
    "con como del desde el en es esta este las los mediante no para permite por puede que se un una y "
    "ao com da do dos e em não na nas nos o os ou pela pelo são uma às "
    "che da della delle di gli il lo nel nella non per può sono tramite un alla "
    "aan bij dat door een het kan met niet om te van voor wordt "
    "dla i jest lub nie oraz przez przy się w z ze że".split()
)
_MIN_LATIN_SHARE = 0.6

_VAGUE = re.compile(
    r"unspecified (?:vulnerabilit|vector|impact|issue|other)|unknown (?:vector|impact|vulnerabilit|attack vector)"
    r"|details (?:are|were|have) not (?:been )?(?:disclosed|provided|available|specified)"
    r"|no (?:further |additional )?(?:details|information) (?:is |are )?(?:available|provided)"
    r"|(?:has been |was |is )?reserved by an organization",
    re.IGNORECASE,
)
_UNSPECIFIED = re.compile(r"\b(?:unspecified|unknown) vulnerabilit", re.IGNORECASE)


def looks_english(text: str) -> bool:
    """Tell whether `text` can be read as English; short texts get the benefit of the doubt.

    It cannot if more than 40 % of its letters are not Latin, or if it has three or more different function words of other
    languages and fewer English ones. This guards against feeding the model a language it has never seen; it is no language
    identifier.
    """
    words = {word.lower() for word in _WORD.findall(text)}
    if not text.isascii():
        letters = sum(map(len, _WORD.findall(text)))
        if len(_NOT_LATIN.findall(text)) > (1 - _MIN_LATIN_SHARE) * letters:
            return False
    other = len(words & _OTHER)
    return other < 3 or len(words & _ENGLISH) >= other


def is_vague(text: str) -> bool:
    """Tell whether `text` says of itself that it leaves out what went wrong (``unspecified vulnerability``)."""
    return _VAGUE.search(text) is not None


def is_unspecified(text: str) -> bool:
    """Tell whether `text` calls the whole vulnerability unspecified or unknown: which weakness it is cannot be in it."""
    return _UNSPECIFIED.search(text) is not None


def missing_text_reason(advisory: Advisory) -> AbstainReason:
    """Tell why an advisory has no English text: ``not_english`` if it has text in other languages, else ``no_description``."""
    return "not_english" if advisory.languages else "no_description"
