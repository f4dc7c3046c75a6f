"""Brackets of JSON text, found a block at a time by array operations instead of a loop over bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Brackets", "nesting_exceeds", "scan_brackets", "value_end"]

_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Brackets:
    """Brackets and braces outside of strings in one block.

    Attributes:
        positions: offsets in the block, ascending, shape (n,).
        depths: nesting after each of them, shape (n,); an opening bracket has the depth of what it opens.
        opens: True for ``[`` and ``{``, shape (n,).
        in_string: whether the block ends inside a string.
    """

    positions: npt.NDArray[np.int64]
    depths: npt.NDArray[np.int64]
    opens: npt.NDArray[np.bool_]
    in_string: bool


def scan_brackets(block: bytes, *, depth: int = 0, in_string: bool = False) -> Brackets:
    """Find the brackets of `block`, which must not end between a backslash and what it escapes.

    Args:
        depth: nesting at the start of the block.
        in_string: whether the block starts inside a string.
    """
    if b"\\" in block:
        # Same length, so offsets hold: first escaped backslashes, then the quotes that are still escaped.
        block = block.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == 0x22)
    folded = data | 0x20  # [ and { become 0x7B, ] and } become 0x7D, and nothing else does
    positions = np.flatnonzero((folded == 0x7B) | (folded == 0x7D))
    inside = (np.searchsorted(quotes, positions) + in_string) & 1
    positions = positions[inside == 0]
    opens = folded[positions] == 0x7B
    depths = depth + np.cumsum(np.where(opens, 1, -1))
    return Brackets(positions, depths, opens, bool((len(quotes) + in_string) & 1))


def value_end(data: bytes, start: int) -> int:
    """Return the offset after the object or array that opens at `start`, or -1 where it does not close in `data`."""
    depth, in_string = 0, False
    size = 4096  # most objects are small, so the first look is short
    while start < len(data):
        block = data[start : start + size]
        if len(block) < len(data) - start and (len(block) - len(block.rstrip(b"\\"))) % 2:
            block = data[start : start + size - 1]
        found = scan_brackets(block, depth=depth, in_string=in_string)
        closed = np.flatnonzero(found.depths <= 0)
        if len(closed):
            return start + int(found.positions[closed[0]]) + 1
        depth = int(found.depths[-1]) if len(found.depths) else depth
        in_string = found.in_string
        start += len(block)
        size = _BLOCK
    return -1


def nesting_exceeds(data: bytes, limit: int) -> bool:
    """Tell whether objects and arrays nest deeper than `limit` in `data`, in memory bounded by a block."""
    if data.count(b"{") + data.count(b"[") <= limit:
        return False
    depth, in_string, start = 0, False, 0
    while start < len(data):
        block = data[start : start + _BLOCK]
        if len(block) == _BLOCK and (len(block) - len(block.rstrip(b"\\"))) % 2:
            block = block[:-1]
        found = scan_brackets(block, depth=depth, in_string=in_string)
        if len(found.depths):
            if int(found.depths.max()) > limit:
                return True
            depth = int(found.depths[-1])
        in_string = found.in_string
        start += len(block)
    return False
