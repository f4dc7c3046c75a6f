"""Decompression that cannot be made to fill memory or disk, and that keeps what was readable before the damage.

The kind is told from magic bytes. Three limits stop a bomb: bytes expanded in all, the ratio of expanded to compressed bytes
(looked at once `RATIO_GRACE_BYTES` have come out), and the memory that a stream may ask its decoder for. Real feeds compress
8 to 20 times with xz; the highest ratio seen on synthetic but honest JSON was below 150.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import zstandard

from ctiforge.core.advisory import RejectReason

__all__ = [
    "BLOCK_BYTES",
    "MAX_RATIO",
    "RATIO_GRACE_BYTES",
    "Compression",
    "Expansion",
    "StreamError",
    "decompress",
    "detect_compression",
    "in_blocks",
]

BLOCK_BYTES = 256 * 1024
MAX_RATIO = 300
RATIO_GRACE_BYTES = 64 * 2**20
_DECODER_MEMORY = 128 * 2**20  # xz -9 needs 65 MiB, zstd without --long at most 128 MiB
_ZSTD_STEP = 512  # bytes fed at once: a hostile zstd stream turns each 4 bytes into 128 KiB, and nothing else bounds a call

Compression = Literal["gz", "xz", "bz2", "zst", "zip"]
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b\x08", "gz"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_BZ2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")


class StreamError(Exception):
    """A file that cannot be read further; becomes one `Reject`. Never leaves `ctiforge.sources`."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: RejectReason = reason
        self.detail = detail


@dataclass(slots=True)
class Expansion:
    """What one file on disk has expanded to so far, over all its members and layers."""

    max_bytes: int
    compressed: int = 0
    expanded: int = 0

    def add(self, expanded: int) -> None:
        """Count `expanded` more bytes.

        Raises:
            StreamError: ``archive_limit`` when a limit is passed.
        """
        self.expanded += expanded
        if self.expanded > self.max_bytes:
            raise StreamError("archive_limit", f"expands to more than {self.max_bytes:,} bytes; reading stopped there")
        if self.expanded > RATIO_GRACE_BYTES and self.expanded > MAX_RATIO * self.compressed:
            raise StreamError("archive_limit", f"expands more than {MAX_RATIO} times, as a decompression bomb does")


def detect_compression(head: bytes) -> Compression | None:
    """Return the compression that `head`, the first 10 bytes of a stream or more, shows, or None."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:3] == b"BZh" and head[3:4].isdigit() and head[4:10] in _BZ2_BLOCKS:
        return "bz2"
    return None


def in_blocks(chunks: Iterable[bytes], size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Join small chunks and cut large ones into blocks of about `size` bytes."""
    pieces: list[bytes] = []
    held = 0
    try:
        for chunk in chunks:
            if len(chunk) >= 2 * size:
                if pieces:
                    yield b"".join(pieces)
                    pieces, held = [], 0
                for start in range(0, len(chunk), size):
                    yield chunk[start : start + size]
                continue
            pieces.append(chunk)
            held += len(chunk)
            if held >= size:
                yield b"".join(pieces)
                pieces, held = [], 0
    except StreamError:
        # What was decoded before the damage is still worth reading.
        if pieces:
            yield b"".join(pieces)
        raise
    if pieces:
        yield b"".join(pieces)


class _Decoder:
    """One interface over the four decompressor objects: feed, take at most a block, know when a stream ends."""

    def __init__(self, kind: Compression) -> None:
        self.kind = kind
        self._zlib = zlib.decompressobj(31) if kind == "gz" else None
        self._zst = zstandard.ZstdDecompressor(max_window_size=_DECODER_MEMORY).decompressobj() if kind == "zst" else None
        self._zst_rest = b""
        self._limited: lzma.LZMADecompressor | bz2.BZ2Decompressor | None = None
        if kind == "xz":
            self._limited = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECODER_MEMORY)
        elif kind == "bz2":
            self._limited = bz2.BZ2Decompressor()

    def expand(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` expands to, in bounded pieces."""
        if self._zlib is not None:
            while data and not self._zlib.eof:
                yield self._zlib.decompress(data, BLOCK_BYTES)
                data = self._zlib.unconsumed_tail
        elif self._limited is not None:
            yield self._limited.decompress(data, BLOCK_BYTES)
            while not self._limited.needs_input and not self._limited.eof:
                yield self._limited.decompress(b"", BLOCK_BYTES)
        elif self._zst is not None:
            for start in range(0, len(data), _ZSTD_STEP):
                yield self._zst.decompress(data[start : start + _ZSTD_STEP])
                if self._zst.eof:
                    self._zst_rest = self._zst.unused_data + data[start + _ZSTD_STEP :]
                    return

    @property
    def at_end(self) -> bool:
        decoder = self._zlib or self._limited or self._zst
        return bool(decoder and decoder.eof)

    @property
    def rest(self) -> bytes:
        """Bytes after the end of the stream."""
        if self._zst is not None:
            return self._zst_rest
        decoder = self._zlib or self._limited
        return decoder.unused_data if decoder else b""


def decompress(chunks: Iterable[bytes], kind: Compression, expansion: Expansion) -> Iterator[bytes]:
    """Yield the expanded bytes of `chunks`; concatenated streams are read through, zero padding after them is ignored.

    Raises:
        StreamError: after everything readable was yielded: ``corrupt_file`` for damage, truncation or trailing bytes of
            another kind, ``archive_limit`` for a bomb.
    """
    decoder = _Decoder(kind)
    started = False
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if not started and not (data := data.lstrip(b"\0")):
                    break
                started = True
                for piece in decoder.expand(data):
                    if piece:
                        expansion.add(len(piece))
                        yield piece
                if not decoder.at_end:
                    break
                data = decoder.rest
                decoder, started = _Decoder(kind), False
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError) as error:
        if isinstance(error, lzma.LZMAError) and "limit" in str(error).lower():
            raise StreamError("archive_limit", f"asks for more than {_DECODER_MEMORY >> 20} MiB to be expanded") from error
        if isinstance(error, zstandard.ZstdError) and "much memory" in str(error).lower():
            raise StreamError("archive_limit", f"asks for more than {_DECODER_MEMORY >> 20} MiB to be expanded") from error
        raise StreamError("corrupt_file", f"the {kind} data is damaged: {error}; what came before was read") from error
    if started:
        raise StreamError("corrupt_file", f"the {kind} data ends too early; what came before was read")
