"""From the words people write to a CWE entry: names, short names, alternate terms, reviewed wordings.

A label becomes training data and a filter, so a wrong answer costs more than none. Words resolve only if they are, after
normalisation, exactly one of (first hit wins):

1. MITRE's full name;
2. a wording of `ctiforge.sources.cwe_wordings`, each reviewed by hand; its refused phrases stop here;
3. the short name in quotes and brackets, such as 'Cross-site Scripting', or the full name without it;
4. an alternate term that MITRE lists for exactly one weakness;
5. a former name of three or more words that exactly one weakness had;
6. the name of a category or view (which the catalogue then refuses as a weakness);
7. a name that was cut off (an open bracket or quote, or an ellipsis) and that only one weakness continues.

Where that fails, the same is tried on a part of the label whose remainder cannot change the weakness: without the component
('... in WLAN'), without 'vulnerability', without a bracketed synonym that does not say otherwise, without words such as
'stored' or 'unauthenticated'.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ctiforge.sources.cwe_wordings import REFUSED, WORDINGS

__all__ = ["NameIndex", "NamedEntry", "short_names", "words_of"]

MAX_LABEL = 400
"""Longer texts are descriptions, not labels; they never resolve."""

_QUOTES = str.maketrans(dict.fromkeys('`´‘’‚‛“”„«»"＂＇', "'") | dict.fromkeys("‐‑‒–—―−﹣－", "-"))
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_NOT_WORD = re.compile(r"[^\w+#]+|_+")
_SHORT_NAME = re.compile(r"\((?:aka )?'([^()]+)'\)?$")
_ACRONYM = re.compile(r"\s\(([A-Za-z]{3,8})\)$")
_BRACKET = re.compile(r"^(.*?)\s*[(\[]([^()\[\]]*)[)\]]?\s*(?:-\s*(?:generic|stored|reflected|dom))?$", re.IGNORECASE)
_IN = re.compile(r"\s+(?:in|within)\s+(?:the\s+)?", re.IGNORECASE)
_SECOND_STATEMENT = re.compile(r"[,;]|\b(?:and|or|leading|leads|results?|allows?|via|through|due|because|by)\b", re.IGNORECASE)
_NOISE_TAIL = re.compile(
    r"\s+(?:-\s+generic|vulnerability|vulnerabilities|issue|issues|flaw|flaws|bug|bugs|weakness|attack|attacks)$", re.IGNORECASE
)
_NOISE_HEAD = re.compile(
    r"^(?:an?|the|possible|potential|multiple|arbitrary|unauthenticated|authenticated|persistent|stored|reflected|blind"
    r"|remote|dom[- ]based|dom|pre-?auth|post-?auth|self)\s+",
    re.IGNORECASE,
)
_SPELLINGS = {
    "hardcoded": "hard coded",
    "crosssite": "cross site",
    "xsite": "cross site",
    "deserialisation": "deserialization",
    "neutralisation": "neutralization",
    "authorisation": "authorization",
    "sanitisation": "sanitization",
    "initialisation": "initialization",
    "synchronisation": "synchronization",
    "unauthorised": "unauthorized",
    "filesystem": "file system",
}


@dataclass(frozen=True, slots=True)
class NamedEntry:
    """What the index needs to know of one entry. `kind` is ``weakness``, ``deprecated``, ``category`` or ``view``."""

    cwe_id: str
    name: str
    kind: str
    terms: tuple[str, ...] = ()
    former: tuple[str, ...] = ()


def words_of(text: str) -> str:
    """Return the words of a label in one spelling: lower case, no punctuation, one blank between words."""
    plain = unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold()
    words = _NOT_WORD.sub(" ", _APOSTROPHE.sub("", plain)).split()
    return " ".join(_SPELLINGS.get(word, word) for word in words)


class NameIndex:
    """Finds the entry that a label names; see the module's description for the rules."""

    def __init__(self, entries: Iterable[NamedEntry]) -> None:
        entries = list(entries)
        live = [entry for entry in entries if entry.kind == "weakness"]
        self._exact = {_literal(entry.name): entry.cwe_id for entry in entries}
        self._full = _index((words_of(entry.name), entry.cwe_id) for entry in live if not _is_pattern(entry.name))
        names = _index(pair for entry in live if not _is_pattern(entry.name) for pair in _name_parts(entry))
        terms = _index((words_of(part), entry.cwe_id) for entry in live for term in entry.terms for part in _split(term))
        former = _index(_former_keys(live))
        groups = _index((words_of(entry.name), entry.cwe_id) for entry in entries if entry.kind in ("category", "view"))
        known = {entry.cwe_id for entry in entries}
        wordings = {words_of(text): cwe_id for text, cwe_id in WORDINGS.items() if cwe_id in known}
        self._refused = frozenset(map(words_of, REFUSED))
        refused = dict.fromkeys(self._refused, None)
        self._keys: dict[str, str | None] = {
            **groups,
            **former,
            **terms,
            **names,
            **refused,
            **wordings,
            **self._full,
        }

    def resolve(self, label: str) -> str | None:
        """Return the identifier that `label` names, or None; a vague label is None, never a guess."""
        text = label.strip()
        if not text or len(text) > MAX_LABEL:
            return None
        if found := self._exact.get(_literal(text)) or self._exact.get(_literal(text + ")")):
            return found
        if _is_pattern(text):
            return None
        tidy = unicodedata.normalize("NFKC", text).translate(_QUOTES).strip(" .;:,-")
        return self._part(tidy, depth=0)

    def _part(self, text: str, depth: int) -> str | None:
        key = words_of(text)
        if key in self._keys:
            return self._keys[key]
        if found := self._cut_off(text, key):
            return found
        if depth >= 4 or not key:
            return None
        if bracket := _BRACKET.match(text):
            return self._bracketed(bracket[1], bracket[2], depth)
        return next((found for rest in _without_noise(text) if (found := self._part(rest, depth + 1))), None)

    def _bracketed(self, head: str, inner: str, depth: int) -> str | None:
        """Resolve 'head (inner)': the head counts, unless the words in brackets name something else or a vague effect."""
        found = self._part(head, depth + 1)
        if found is None:
            return None
        key = words_of(inner)
        if key in self._keys:
            return found if self._keys[key] in (found, None) and key not in self._refused else None
        inside = self._part(inner, depth + 1)
        return found if inside in (found, None) else None

    def _cut_off(self, text: str, key: str) -> str | None:
        is_open = text.count("(") > text.count(")") or text.count("'") % 2 == 1 or text.endswith(("...", "…"))
        if not is_open or key.count(" ") < 3:
            return None
        hits = {cwe_id for name, cwe_id in self._full.items() if cwe_id and name.startswith(key)}
        return hits.pop() if len(hits) == 1 else None


def _literal(text: str) -> str:
    """Return a name with case, quotes and white space evened out, but with its punctuation."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold().split())


def _is_pattern(name: str) -> bool:
    """Say whether punctuation carries the meaning, as in "Path Traversal: '..\\filedir'": such names must match literally."""
    return any(re.search(r"[\\/.*]|^\s|\s$", quoted) for quoted in re.findall(r"(?<![(\w])'([^']*)'", name))


def short_names(name: str) -> tuple[str, ...]:
    """Return the bracketed short name or acronym of a full name, and the name without it: both, or neither."""
    if bracket := _SHORT_NAME.search(name) or _ACRONYM.search(name):
        return bracket[1], name[: bracket.start()].strip()
    return ()


def _name_parts(entry: NamedEntry) -> Iterator[tuple[str, str]]:
    for part in short_names(entry.name):
        yield words_of(part), entry.cwe_id


def _former_keys(entries: Iterable[NamedEntry]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        for name in entry.former:
            key = words_of(name)
            if key.count(" ") >= 2 and not _is_pattern(name):
                yield key, entry.cwe_id


def _split(term: str) -> list[str]:
    """Split 'Insecure Direct Object Reference / IDOR' and 'Cross-Site WebSocket hijacking (CSWSH)' into their spellings."""
    parts = [part.strip() for part in re.split(r"\s/\s|[()]", term)]
    return [part for part in parts if part]


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """Map each key to its only owner, or to None where two entries share it."""
    found: dict[str, str | None] = {}
    for key, cwe_id in pairs:
        found[key] = cwe_id if found.get(key, cwe_id) == cwe_id else None
    return found


def _without_noise(text: str) -> Iterator[str]:
    """Yield the text without one part that cannot change the weakness; the component is tried from the last 'in' back."""
    for pattern in (_NOISE_TAIL, _NOISE_HEAD):
        shorter = pattern.sub("", text, count=1)
        if shorter != text:
            yield shorter
            return
    for place in reversed(list(_IN.finditer(text))):
        component = text[place.end() :]
        if component.count(" ") < 4 and not _SECOND_STATEMENT.search(component):
            yield text[: place.start()]
