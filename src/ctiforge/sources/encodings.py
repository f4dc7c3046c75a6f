"""Bytes to text: byte order marks, UTF-16 and UTF-32, and stray Windows bytes inside UTF-8.

Rules: a byte order mark decides. Without one the input is UTF-8, unless its first four bytes can only be UTF-16 (one NUL in
each pair, as RFC 4627 section 3 observes). Bytes that are not UTF-8 are read as Windows-1252 one by one, which leaves the
valid UTF-8 around them alone, and the record carries a note that says so.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from ctiforge.sources.compression import StreamError

__all__ = ["NUL_NOTE", "REPAIR_NOTE", "decode_repairing", "to_utf8"]

REPAIR_NOTE = "bytes that are not UTF-8 were read as Windows-1252"
NUL_NOTE = "NUL bytes were left out"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    bad = error.object[error.start : error.end]
    # Five byte values have no meaning in Windows-1252; Latin-1 gives them the control character of the same number.
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in bad), error.end


codecs.register_error("ctiforge_windows", _as_windows)


def decode_repairing(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Return `data` as text, and the notes on what had to be repaired (none for valid UTF-8)."""
    try:
        return data.decode(), ()
    except UnicodeDecodeError:
        return data.decode("utf-8", "ctiforge_windows"), (REPAIR_NOTE,)


def _sniff(head: bytes) -> tuple[str, int]:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, len(mark)
    if len(head) >= 4 and head[0] and head[2] and not head[1] and not head[3]:
        return "utf-16-le", 0
    if len(head) >= 4 and head[1] and head[3] and not head[0] and not head[2]:
        return "utf-16-be", 0
    return "utf-8", 0


def to_utf8(head: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `blocks`, whose first bytes are `head` (at least 4, or all there are), as UTF-8 without a byte order mark.

    UTF-8 passes through unchecked: each record is decoded on its own, so that a bad byte costs one record, not the file.

    Raises:
        StreamError: ``bad_encoding`` where UTF-16 or UTF-32 breaks off or holds an impossible unit; everything before it
            was yielded.
    """
    name, mark = _sniff(head)
    source = iter(blocks)
    if name == "utf-8":
        for block in source:
            if mark:
                block, mark = block[mark:], max(0, mark - len(block))
            yield block
        return
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for block in source:
            if mark:
                block, mark = block[mark:], max(0, mark - len(block))
            yield decoder.decode(block).encode("utf-8")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        yield error.object[: error.start].decode(name, "ignore").encode("utf-8")
        raise StreamError("bad_encoding", f"{name.upper()} breaks off: {error.reason}; what came before was read") from error
