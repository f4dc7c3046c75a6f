"""Lines of a byte stream, however long, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["LongLine", "split_lines"]

_KEPT_OF_LONG_LINE = 1024


@dataclass(frozen=True, slots=True)
class LongLine:
    """Stands for a line over the limit: its start and its length in bytes."""

    start: bytes
    length: int


def split_lines(blocks: Iterable[bytes], max_bytes: int) -> Iterator[bytes | LongLine]:
    """Yield every line without its line feed, blank ones too (their number is their place); a longer one as `LongLine`."""
    pieces: list[bytes] = []
    held = 0
    for block in blocks:
        lines = block.split(b"\n")
        last = lines.pop()
        if lines and held:
            yield _join(pieces, held, lines[0], max_bytes)
            pieces, held = [], 0
            del lines[0]
        for line in lines:
            yield line if len(line) <= max_bytes else LongLine(line[:_KEPT_OF_LONG_LINE], len(line))
        if last:
            held += len(last)
            if held <= max_bytes:
                pieces.append(last)
            elif len(pieces) != 1 or len(pieces[0]) > _KEPT_OF_LONG_LINE:
                pieces = [b"".join([*pieces, last])[:_KEPT_OF_LONG_LINE]]
    if held:
        yield _join(pieces, held, b"", max_bytes)


def _join(pieces: list[bytes], held: int, end: bytes, max_bytes: int) -> bytes | LongLine:
    length = held + len(end)
    if length > max_bytes:
        return LongLine(b"".join([*pieces, end])[:_KEPT_OF_LONG_LINE], length)
    return b"".join([*pieces, end])
