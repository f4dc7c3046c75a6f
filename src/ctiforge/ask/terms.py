"""From text to search terms: identifiers and file names whole, words stemmed, the commonest left out."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from Stemmer import Stemmer

__all__ = ["find_ids", "search_terms"]

_TOKEN = re.compile(r"[^\W_]+(?:[._:/\\+#-][^\W_]+)*[+#]*", re.UNICODE)
_PART = re.compile(r"[^\W_]+", re.UNICODE)
_STOP: Final = frozenset(
    "a also an and any are as at be been but by can do does following for from has have how if in into is it its may no not of "
    "on or other such than that the their then there these they this to use used using was were what when where which while "
    "who will with".split()
)
_ID: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?P<cve>CVE)[-\s_]?(?P<year>(?:19|20)\d\d)[-\s_](?P<serial>\d{4,19})|(?P<catalogue>CWE|CAPEC)[-\s_:#]{0,2}0*"
    r"(?P<number>\d{1,5})|(?P<attack>(?:TA|DET|DS|DC|AN|[TSGMCA])\d{4}(?:[./]\d{3})?))(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def find_ids(text: str) -> list[str]:
    """Return the identifiers in `text`, spelled as the knowledge base spells them, in order and once each.

    Read are ATT&CK's (``T1548.002``, ``ta0005``, ``T1548/002``), ``CWE-79``, ``CAPEC-66`` and ``CVE-2024-23848``.
    """
    found: dict[str, None] = {}
    for match in _ID.finditer(text):
        if match["cve"]:
            found[f"CVE-{match['year']}-{match['serial']}"] = None
        elif match["catalogue"]:
            found[f"{match['catalogue'].upper()}-{int(match['number'])}"] = None
        else:
            found[match["attack"].upper().replace("/", ".")] = None
    return list(found)


def search_terms(text: str) -> list[str]:
    """Return the terms of `text` in order, with repeats: lower case, stemmed.

    ``T1055.011`` and ``CWE-79`` (in any spelling) and ``rundll32.exe`` are kept whole; of compounds that are no identifiers
    (``cross-site``) the parts are kept as well, so that either spelling finds the other.
    """
    found: list[str] = []
    stem = _stem
    for token in _TOKEN.findall(text.casefold()):
        if any(character.isdigit() for character in token) and (named := _ID.fullmatch(token)):
            found.extend(each.casefold() for each in find_ids(named[0]))
            continue
        parts = _PART.findall(token)
        if len(parts) == 1:
            if token not in _STOP:
                found.append(stem(token))
            continue
        if _is_name(token):
            found.append(token)
        found.extend(stem(part) for part in parts if part not in _STOP)
    return found


def _is_name(token: str) -> bool:
    return any(character.isdigit() or character in "._:\\" for character in token)


@lru_cache(maxsize=1)
def _stemmer() -> Stemmer:
    from Stemmer import Stemmer

    return Stemmer("english")


@lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    stemmed: str = _stemmer().stemWord(word)
    return stemmed
