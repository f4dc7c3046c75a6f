"""Where a text names a weakness in the catalogue's own words: names, short names, alternate terms, reviewed wordings."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from ctiforge.core.weakness import Weakness
from ctiforge.models.text_features import tokenize
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.cwe_names import short_names
from ctiforge.sources.cwe_wordings import WORDINGS

__all__ = ["CwePhrases", "TokenSpan", "TokenizedText", "content_stems"]

_BREAK = re.compile(r"[.;:!?](?:\s|$)|\n|[()\[\]{}\"]")
# Words that carry no weakness by themselves, as stems.
_EMPTY = frozenset(
    "a an and as at be been by can could do doe for from has have if in into is it its may might of on onli or other some such"
    " that the their them then there these this those through to use user via was were when where which while who with within"
    " would will not no _num _cve _url issu vulner flaw weak product softwar system applic version affect attack attacker remot"
    " local allow prior befor improp incorrect insuffici miss uncontrol"
    " element special dure resourc data inform specifi critic function".split()
)
_MAX_WINDOW = 12


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Tokens `first` to `last`, both included."""

    first: int
    last: int


class TokenizedText:
    """A text with its stems, their places, and where sentences and brackets part them.

    Attributes:
        stems: see `ctiforge.models.text_features.tokenize`.
        part: the number of the sentence part that each token stands in; a phrase does not leave its part.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.stems, self._spans = tokenize(text)
        self.part: list[int] = []
        number, end = 0, 0
        for start, stop in self._spans:
            number += bool(_BREAK.search(text[end:start] + (" " if start > end else "")))
            self.part.append(number)
            end = stop

    def quote(self, span: TokenSpan) -> str:
        """Return the words of a span as they stand in the text, with the bracket that closes behind them."""
        start, end = self._spans[span.first][0], self._spans[span.last][1]
        words = self.text[start:end]
        return words + ")" if words.count("(") > words.count(")") and self.text[end : end + 1] == ")" else words

    def word(self, place: int) -> str:
        """Return one token as it stands in the text."""
        start, stop = self._spans[place]
        return self.text[start:stop]


def content_stems(text: str) -> frozenset[str]:
    """Return the stems of a text that can carry a weakness."""
    return frozenset(stem for stem in tokenize(text)[0] if stem not in _EMPTY and len(stem) > 1)


class CwePhrases:
    """Finds the phrases of one catalogue."""

    def __init__(self, catalogue: CweCatalogue) -> None:
        self._catalogue = catalogue
        self._wordings: defaultdict[str, list[str]] = defaultdict(list)
        for wording, cwe_id in WORDINGS.items():
            self._wordings[cwe_id].append(wording)

    def named(self, text: TokenizedText, cwe_id: str) -> TokenSpan | None:
        """Return the longest place where `text` has a name or term of the entry, in any inflection, or None."""
        return _longest(text, self._phrases(cwe_id))

    def relative_named(self, text: TokenizedText, cwe_id: str) -> TokenSpan | None:
        """Return the longest place where `text` names a parent, child or peer of the entry, or None."""
        catalogue = self._catalogue
        near = (*catalogue.children(cwe_id), *catalogue.parents(cwe_id), *catalogue[cwe_id].peers)
        return _longest(text, {phrase for other in near for phrase in self._phrases(other)})

    def shared_words(self, text: TokenizedText, cwe_id: str) -> tuple[TokenSpan, float] | None:
        """Return the part of `text` with most of the words of the entry's name close together, and their share; or None.

        At least two such words, and half of those that the name has (without brackets), within 12 words of one sentence part.
        """
        wanted = self._name_stems(cwe_id)
        if len(wanted) < 2:
            return None
        best: tuple[int, int, int] | None = None
        places = [place for place, stem in enumerate(text.stems) if stem in wanted]
        for i, first in enumerate(places):
            found: set[str] = set()
            for last in places[i:]:
                if last - first >= _MAX_WINDOW or text.part[last] != text.part[first]:
                    break
                found.add(text.stems[last])
                if best is None or (len(found), first - last) > best[:2]:
                    best = (len(found), first - last, first)
        if best is None or best[0] < max(2, len(wanted) / 2):
            return None
        count, length, first = best
        return TokenSpan(first, first - length), count / len(wanted)

    @cache  # noqa: B019 - one catalogue, about a thousand entries
    def _phrases(self, cwe_id: str) -> frozenset[tuple[str, ...]]:
        entry = self._catalogue.get(cwe_id)
        if entry is None:
            return frozenset()
        phrases = (tuple(tokenize(text)[0]) for text in self._texts(entry))
        return frozenset(phrase for phrase in phrases if any(stem not in _EMPTY for stem in phrase))

    def _texts(self, entry: Weakness) -> Iterator[str]:
        yield entry.name
        yield from (part for part in short_names(entry.name) if len(part.split()) > 1 or part.isupper())
        for term in (*entry.terms, *self._wordings[entry.cwe_id]):
            yield from (part.strip() for part in re.split(r"\s/\s|[()]", term) if part.strip())

    @cache  # noqa: B019
    def _name_stems(self, cwe_id: str) -> frozenset[str]:
        name = self._catalogue[cwe_id].name
        return content_stems(re.sub(r"\s*\(.*$", "", name) or name)


def _longest(text: TokenizedText, phrases: Iterable[Sequence[str]]) -> TokenSpan | None:
    by_first: defaultdict[str, list[Sequence[str]]] = defaultdict(list)
    for phrase in phrases:
        by_first[phrase[0]].append(phrase)
    best: TokenSpan | None = None
    for first, stem in enumerate(text.stems):
        for phrase in by_first.get(stem, ()):
            last = first + len(phrase) - 1
            if text.stems[first : last + 1] == list(phrase) and (best is None or last - first > best.last - best.first):
                best = TokenSpan(first, last)
    return best
