"""Where the next record starts, once brackets can no longer be trusted.

A missing brace, a lost quote or a cut-off record makes everything after it look like part of the same record. Records of one
file resemble each other, though: they begin with the same key and share most of the others. So the next record is the next
object that begins like the records before it, closes, parses, and has a similar set of keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from ctiforge.sources.formats import detect_record_format
from ctiforge.sources.generic import choose_columns
from ctiforge.sources.json_brackets import scan_brackets, value_end

__all__ = [
    "RecordShape",
    "find_container",
    "find_next_record",
    "find_swallowed_record",
    "may_hold_object",
    "parses",
    "starts_in_string",
]

_FIRST_KEY = re.compile(rb'\{\s*"([^"\\]{1,64})"\s*:')
_ON_NEW_LINE = re.compile(rb"\n[ \t]*(?=\{)")
_CONTAINER = re.compile(rb'"(?:CVE_Items|vulnerabilities|cve_items|vulns|advisories)"\s*:\s*(?=\[\s*\{)')
_MAX_LOOKALIKES = 50  # nested objects that are tried before giving up
_SAMPLE_BYTES = 256 * 1024
_MIN_LIKENESS = 0.5  # Jaccard; records differ by optional fields, nested objects share a key or two at most


class RecordShape:
    """What the records of this file have looked like so far."""

    def __init__(self) -> None:
        self.first_key = b""
        self._samples: list[bytes] = []

    def learn(self, record: bytes) -> None:
        """Remember a balanced record; only a reference is kept, and it is parsed when it is needed."""
        if len(record) <= _SAMPLE_BYTES and (match := _FIRST_KEY.match(record)):
            if len(self._samples) < 2:
                self._samples.append(record)
                self.first_key = match[1]
            elif match[1] == self.first_key:
                self._samples[1] = record

    def repeats_inside(self, record: bytes) -> bool:
        """Tell whether the key that records begin with occurs again inside `record`, as it does when two have run together."""
        if not self.first_key:
            match = _FIRST_KEY.match(record)
            if match is None:
                return True
            return record.find(b'"' + match[1] + b'"', match.end()) >= 0
        quoted = b'"' + self.first_key + b'"'
        first = record.find(quoted, 0, len(quoted) + 64)
        return record.find(quoted, first + len(quoted) if first >= 0 else 1) >= 0

    def keys(self) -> set[str]:
        """Return the keys of a record that parses, or an empty set where none has been seen."""
        for sample in reversed(self._samples):
            try:
                record = orjson.loads(sample)
            except orjson.JSONDecodeError:
                continue
            if isinstance(record, dict):
                return set(record)
        return set()


def find_container(data: bytes, start: int = 0) -> int:
    """Return the offset of the ``[`` that opens an array of records under a well-known key, or -1."""
    match = _CONTAINER.search(data, start)
    return match.end() if match else -1


def may_hold_object(before: bytes) -> bool:
    """Tell whether the grammar of JSON allows an object after `before`, the start of a record up to some place inside it.

    Where it does not (in a string, or where a key is due), an object that looks like a record is one, and the record around
    it is damaged. Where it does, the object may be nested and the record sound.
    """
    found = scan_brackets(before)
    if found.in_string:
        return False
    depth = int(found.depths[-1]) if len(found.depths) else 0
    enclosing = np.flatnonzero(found.opens & (found.depths == depth))
    if depth <= 0 or not len(enclosing):
        return True
    previous = before.rstrip()[-1:]
    return previous == b":" if before[int(found.positions[enclosing[-1]])] == 0x7B else previous in (b"[", b",")


def parses(data: bytes) -> bool:
    """Tell whether `data` is JSON, but for bytes that are not UTF-8: those are repaired later."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            orjson.loads(data.decode("utf-8", "replace"))
        except orjson.JSONDecodeError:
            return False
    return True


def find_swallowed_record(data: bytes, shape: RecordShape, *, at_root: bool) -> int:
    """Return where in `data`, a record that closes but does not parse, another one starts that cannot be part of it, or -1."""
    place = 0
    for _ in range(_MAX_LOOKALIKES):
        place = find_next_record(data, shape, place + 1, at_root=at_root, sure=False)
        if place < 0 or not may_hold_object(data[:place]):
            return place
    return -1


def starts_in_string(data: bytes, *, ends_in_string: bool) -> bool:
    """Tell whether `data` starts inside a string, from whether it ends in one."""
    return scan_brackets(data).in_string != ends_in_string


def find_next_record(data: bytes, shape: RecordShape, start: int, *, at_root: bool, sure: bool) -> int:
    """Return the offset in `data` of the next record at or after `start`, or -1.

    Args:
        at_root: records stand one after the other, so one may also start on any new line.
        sure: accept only what resembles an earlier record; otherwise any object that a reader would accept will do.
    """
    known: set[str] | None = None
    budget = 8 * len(data) + 2**20  # nested look-alikes must not make this quadratic
    for place in _candidates(data, shape, start, at_root=at_root):
        if known is None:
            known = shape.keys()
            if sure and not known:
                return -1
        end = value_end(data, place)
        budget -= (end if end > 0 else len(data)) - place
        if end > 0 and _is_record(data[place:end], known):
            return place
        if budget < 0:
            break
    return -1


def _candidates(data: bytes, shape: RecordShape, start: int, *, at_root: bool) -> Iterator[int]:
    own = _FIRST_KEY.match(data)
    keys = {key for key in (shape.first_key, own[1] if own else b"") if key}
    patterns = [rb'\{\s*"' + re.escape(key) + rb'"\s*:' for key in sorted(keys)]
    if at_root:
        patterns.append(_ON_NEW_LINE.pattern + rb"\{")
    if not patterns:
        patterns.append(_FIRST_KEY.pattern)
    for match in re.compile(b"|".join(patterns)).finditer(data, start):
        yield data.index(b"{", match.start())


def _is_record(data: bytes, known: set[str]) -> bool:
    try:
        record: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(record, dict):
        return False
    if known:
        keys = set(record)
        return len(keys & known) >= _MIN_LIKENESS * len(keys | known)
    return detect_record_format(record) is not None or "description" in choose_columns(record)
