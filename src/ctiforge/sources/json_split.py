"""Borders of the records in JSON documents of any size and layout, in memory bounded by one record.

Reads root arrays, documents that hold an array of records (`CONTAINER_KEYS`), and objects one after the other, pretty-printed
or not. Nothing is parsed here: a record is what stands between its brackets, and the caller's parser judges it. Damage to
brackets or quotes costs the record it is in: `ctiforge.sources.json_resync` finds where the next one starts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ctiforge.sources.json_brackets import Brackets, scan_brackets
from ctiforge.sources.json_documents import PEEK_BYTES, array_key, holds_records
from ctiforge.sources.json_resync import (
    RecordShape,
    find_container,
    find_next_record,
    find_swallowed_record,
    may_hold_object,
    parses,
    starts_in_string,
)

__all__ = ["JsonPiece", "split_json"]

_BETWEEN = b" \t\r\n,"
_KEPT_OF_LONG = 1024
_BEHIND = 320  # enough to see the key before a bracket, and the start of a record cut by a block border
_MAX_CHECKED = 4 * 2**20  # a longer unclosed record is looked at again at the end of the input, or at the size limit
_MIN_WINDOW, _MAX_WINDOW = 256, 256 * 1024

PieceKind = Literal["record", "junk", "broken", "too_large", "truncated"]


@dataclass(frozen=True, slots=True)
class JsonPiece:
    """A part of a document.

    Attributes:
        kind: ``record`` (balanced, not yet parsed), ``junk`` (text between records), ``broken`` (a record whose end was
            lost; reading went on at the next one), ``too_large`` (only its start is kept), ``truncated`` (the input ended
            inside it, or inside the array, then with empty data).
        line: line on which it starts, 1-based.
        data: its bytes.
    """

    kind: PieceKind
    line: int
    data: bytes


def split_json(blocks: Iterable[bytes], max_record_bytes: int) -> Iterator[JsonPiece]:
    """Yield the records of a JSON document, and everything between them that is not white space or a comma."""
    return _Splitter(max_record_bytes).run(blocks)


class _Splitter:
    """State of the scan.

    `base` is the depth at which records stand: 0 at the root, 1 in a root array, 2 in the array of a document. A root object
    is taken for a record until it turns out to hold an array of records. `where` is ``between`` records, in a ``record``,
    or in the ``tail`` of a document, after its array.
    """

    def __init__(self, max_record_bytes: int) -> None:
        self.max_bytes = max_record_bytes
        self.buffer, self.pos = b"", 0
        self.line = 1  # line at buffer[pos]
        self.window = _MAX_WINDOW
        self.base, self.depth, self.in_string = 0, 0, False
        self.where: Literal["between", "record", "tail"] = "between"
        self.pieces: list[bytes] = []  # of the record or of the text between records
        self.held = 0
        self.start_line = 1
        self.discarding = False
        self.behind = b""
        self.shape = RecordShape()

    def run(self, blocks: Iterable[bytes]) -> Iterator[JsonPiece]:
        for block in blocks:
            self.buffer, self.pos = (self.buffer[self.pos :] + block if self.pos < len(self.buffer) else block), 0
            yield from self._drain(last=False)
        yield from self._drain(last=True)
        while (resumed := self._finish()) is not None:
            yield resumed
            yield from self._drain(last=True)
        yield from self._remains()

    # Scanning --------------------------------------------------------------------------------------------------------

    def _drain(self, *, last: bool) -> Iterator[JsonPiece]:
        while self.pos < len(self.buffer):
            window = self.buffer[self.pos : self.pos + self.window]
            at_end = self.pos + len(window) == len(self.buffer)
            if (len(window) - len(window.rstrip(b"\\"))) % 2 and not (at_end and last):
                window = window[:-1]  # never between a backslash and what it escapes
                if not window:
                    if at_end:
                        return
                    window = self.buffer[self.pos : self.pos + 2]
            start = self.pos
            waiting = yield from self._scan(window, last=last)
            if waiting:
                return
            steady = self.pos == start + len(window)
            self.window = min(4 * self.window, _MAX_WINDOW) if steady else _MIN_WINDOW

    def _scan(self, window: bytes, *, last: bool) -> Generator[JsonPiece, None, bool]:
        """Read `window`, or up to the point where the way of reading changes; return True to wait for more input."""
        found = scan_brackets(window, depth=self.depth, in_string=self.in_string)
        cursor = 0
        for index in self._events(found).tolist():
            place, depth, opens = int(found.positions[index]), int(found.depths[index]), bool(found.opens[index])
            if self.where == "record" and not opens and depth == self.base:
                self._take(window, cursor, place + 1)
                self.depth, self.in_string = depth, False
                jumped = yield from self._end_record()
                if jumped:
                    return False
                cursor = place + 1
            elif self.where != "between":  # inside a root object
                if not opens:  # the end of a tail
                    self._take(window, cursor, place + 1)
                    self._become("between", base=0)
                    return False
                before = window[max(cursor, place - 64) : place]
                if len(before) < 64:
                    before = self.behind[-64:] + before
                if not self._may_hold_records(window[place], before):
                    continue
                self._take(window, cursor, place)
                cursor = place
                self.depth, self.in_string = depth - 1, False
                decision = self._enter_array(before, last=last)
                if decision != "no":
                    return decision == "wait"
            elif opens:
                self._take(window, cursor, place)
                yield from self._end_gap()
                cursor = place
                if self.base == 0 and window[place] == 0x5B:
                    self._take(window, place, place + 1)
                    self._become("between", base=1)
                    return False
                self._become("record", base=self.base)
            else:
                self._take(window, cursor, place)
                yield from self._leave_array(window, place)
                return False
        self._take(window, cursor, len(window))
        self.depth = int(found.depths[-1]) if len(found.depths) else self.depth
        self.in_string = found.in_string
        yield from self._end_of_window()
        return False

    def _events(self, found: Brackets) -> npt.NDArray[np.int64]:
        """Return the indices of the brackets that matter in the present state."""
        depths, opens = found.depths, found.opens
        if self.where == "tail":
            mask = (opens & (depths == 2)) | (depths <= 0)
        else:
            mask = (opens & (depths == self.base + 1)) | (~opens & (depths <= self.base))
            if self.base == 0:
                mask |= opens & (depths == 2)
        return np.flatnonzero(mask)

    def _take(self, window: bytes, start: int, end: int) -> None:
        """Move over window[start:end], which stands at `pos`, and keep it if it belongs to what is being read."""
        if end <= start:
            return
        part = window[start:end]
        self.pos += len(part)
        self.line += part.count(b"\n")
        self.behind = part[-_BEHIND:] if len(part) >= _BEHIND else (self.behind + part)[-_BEHIND:]
        if self.where != "tail" and not self.discarding:
            self.pieces.append(part)
        self.held += len(part)

    def _become(self, where: Literal["between", "record", "tail"], *, base: int) -> None:
        """Start something new at `pos`, outside of strings, at the depth of the records."""
        self.where, self.base = where, base
        self.depth = 1 if where == "tail" else base
        self.in_string = False
        self.pieces, self.held, self.discarding = [], 0, False
        self.start_line = self.line

    # Borders ---------------------------------------------------------------------------------------------------------

    def _end_record(self) -> Generator[JsonPiece, None, bool]:
        """Give out the record that has just closed; return True where reading has to start again inside it."""
        data, line, large = b"".join(self.pieces), self.start_line, self.discarding or self.held > self.max_bytes
        if large:
            self._become("between", base=self.base)
            yield JsonPiece("too_large", line, data[:_KEPT_OF_LONG])
            return False
        paired = (data[0], data[-1]) in ((0x7B, 0x7D), (0x5B, 0x5D))
        if paired and not (self.shape.repeats_inside(data) and not parses(data)):
            self.shape.learn(data)
        elif (place := find_swallowed_record(data, self.shape, at_root=self.base == 0)) > 0:
            yield self._resume(data, place)
            return True
        self._become("between", base=self.base)
        yield JsonPiece("record", line, data)
        return False

    def _end_gap(self) -> Iterator[JsonPiece]:
        """Give out the text since the last record, unless it is only separators."""
        gap, line = b"".join(self.pieces), self.start_line
        text = gap.strip(_BETWEEN)
        if text:
            line += gap[: gap.index(text[:1])].count(b"\n")
            yield JsonPiece("junk", line, text)
        self.pieces, self.held, self.discarding = [], 0, False
        self.start_line = self.line

    def _may_hold_records(self, bracket: int, before: bytes) -> bool:
        if bracket == 0x5B:
            return bool(array_key(before))
        # An object where a key is due: the array was closed too early, and its records go on.
        return self.where == "tail" and before.rstrip()[-1:] == b","

    def _enter_array(self, before: bytes, *, last: bool) -> Literal["yes", "no", "wait"]:
        """Decide at an opening bracket inside a root object, at `pos`, whether the records stand in it."""
        if self.buffer[self.pos] == 0x7B:
            self._become("between", base=2)
            return "yes"
        ahead = self.buffer[self.pos + 1 : self.pos + 1 + PEEK_BYTES]
        if len(ahead) < PEEK_BYTES and not last:
            return "wait"
        prefix = b"" if self.where == "tail" else b"".join(self.pieces)[: 64 * 1024]
        if not holds_records(array_key(before), prefix, ahead):
            return "no"
        self._take(b"[", 0, 1)
        self._become("between", base=2)
        return "yes"

    def _leave_array(self, window: bytes, place: int) -> Iterator[JsonPiece]:
        """Handle a closing bracket where a record or the end of the array is due; `pos` is at the bracket."""
        if self.base and window[place] == 0x5D:
            yield from self._end_gap()
            self._take(window, place, place + 1)
            self._become("tail" if self.base == 2 else "between", base=0)
            return
        # A stray bracket: give out what stands up to the next possible record as one piece.
        openings = [at for at in (window.find(b"{", place), window.find(b"[", place)) if at >= 0]
        self._take(window, place, min(openings, default=len(window)))
        yield from self._end_gap()
        self._become("between", base=self.base)

    def _end_of_window(self) -> Iterator[JsonPiece]:
        """Look for a record that an unclosed one may have swallowed, and keep memory bounded."""
        if self.where == "tail" or not self.held:
            return
        if self.where == "record" or self.in_string:
            recent = self._recent()
            place = self._swallowed(recent)
            if place < 0 and self.held > self.max_bytes and not self.discarding:
                recent = b"".join(self.pieces)
                place = find_next_record(recent, self.shape, 1, at_root=self.base == 0, sure=False)
            if place >= 0:
                yield self._resume(recent, place)
                return
        if self.where == "record":
            if self.held > self.max_bytes:
                self.pieces, self.discarding = [b"".join(self.pieces)[:_KEPT_OF_LONG]], True
        elif self.held > _MAX_WINDOW:
            text = b"".join(self.pieces)
            if text.strip(_BETWEEN):
                self.pieces, self.discarding = [text[:_KEPT_OF_LONG]], True
            else:
                self._become("between", base=self.base)

    def _swallowed(self, recent: bytes) -> int:
        """Return where in `recent` a record starts that cannot be part of the present one, or -1.

        A sound record may hold objects that look just like records, so looks alone are not enough before it has ended.
        """
        start = 1 if len(recent) == self.held else 0
        place = find_next_record(recent, self.shape, start, at_root=self.base == 0, sure=True)
        if place < 0 or starts_in_string(recent[place:], ends_in_string=self.in_string):
            return place
        if self.where != "record" or self.discarding or self.held > _MAX_CHECKED:
            return -1
        before = b"".join(self.pieces)
        return -1 if may_hold_object(before[: len(before) - len(recent) + place]) else place

    def _recent(self) -> bytes:
        """Return the last bytes read, about two windows of them, but nothing from before the present record."""
        if self.discarding:
            size = min(self.held - 1, 2 * _MAX_WINDOW)  # without its first byte, so that going back always gets further
            return self.buffer[max(0, self.pos - size) : self.pos]
        chosen: list[bytes] = []
        size = 0
        for piece in reversed(self.pieces):
            chosen.append(piece)
            size += len(piece)
            if size >= 2 * _MAX_WINDOW:
                break
        return b"".join(reversed(chosen))

    def _resume(self, recent: bytes, place: int) -> JsonPiece:
        """Give up the present record and go back to `place` in `recent`, which ends at `pos`."""
        back = recent[place:]
        whole = b"".join(self.pieces)
        kind: PieceKind = "junk" if self.where == "between" else "too_large" if self.discarding else "broken"
        broken = JsonPiece(kind, self.start_line, whole if self.discarding else whole[: len(whole) - len(back)])
        if len(back) <= self.pos:
            self.pos -= len(back)
        else:
            self.buffer, self.pos = back + self.buffer[self.pos :], 0
        self.line -= back.count(b"\n")
        self.behind = broken.data[-_BEHIND:]
        self.window = _MIN_WINDOW
        self._become("between", base=self.base)
        return broken

    def _finish(self) -> JsonPiece | None:
        """At the end of the input: find records that an unclosed one has swallowed, or return None."""
        if self.discarding or not (self.where == "record" or (self.where == "between" and self.in_string)):
            return None
        data = b"".join(self.pieces)
        place = find_container(data) if self.base == 0 else -1
        if place >= 0:
            broken = self._resume(data, place)
            self._take(b"[", 0, 1)
            self._become("between", base=2)
            return broken
        place = find_next_record(data, self.shape, 1, at_root=self.base == 0, sure=False)
        return self._resume(data, place) if place > 0 else None

    def _remains(self) -> Iterator[JsonPiece]:
        if self.where == "record":
            kind: PieceKind = "too_large" if self.discarding or self.held > self.max_bytes else "truncated"
            yield JsonPiece(kind, self.start_line, b"".join(self.pieces))
            return
        if self.where == "between":
            yield from self._end_gap()
        if self.base or self.where == "tail":
            yield JsonPiece("truncated", self.line, b"")
