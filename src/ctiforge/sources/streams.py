"""From a file to byte streams: layers of compression taken off, archives opened, damage and bombs held back."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import IO

from ctiforge.sources.archives import read_zip
from ctiforge.sources.compression import BLOCK_BYTES, Expansion, StreamError, decompress, detect_compression, in_blocks
from ctiforge.sources.options import ReadOptions
from ctiforge.sources.walk import STDIN, FoundFile, printable_path

__all__ = ["HEAD_BYTES", "ByteStream", "open_streams", "peek"]

HEAD_BYTES = 64 * 1024
"""How much of a stream is looked at to tell what it is."""

_MAX_LAYERS = 4  # cvelistV5's release is a zip in a zip; a gzip in those makes three


@dataclass(slots=True)
class ByteStream:
    """One stream of records: a file, or a member of an archive. Each must be read before the next is asked for.

    Attributes:
        path, member: as in `SourceRef`.
        blocks: the expanded bytes. They end early where something is wrong, which is then in `trouble`.
        head: the first bytes, at most `HEAD_BYTES`, that `blocks` starts with.
        mixed: from a directory or an archive of several files, so that it may be anything.
        trouble: why `blocks` ended early; the first is the cause.
    """

    path: str
    member: str
    blocks: Iterator[bytes]
    head: bytes
    mixed: bool
    trouble: list[StreamError] = field(default_factory=list)


def peek(blocks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes of `blocks`, `size` or more unless the stream is shorter, and the whole stream again."""
    first: list[bytes] = []
    seen = 0
    while seen < size and (block := next(blocks, None)) is not None:
        first.append(block)
        seen += len(block)
    head = b"".join(first)
    return head, itertools.chain((head,) if head else (), blocks)


def open_streams(found: FoundFile, options: ReadOptions, on_bytes: Callable[[int], None] | None) -> Iterator[ByteStream]:
    """Yield the streams in one file; a file that cannot be opened gives an empty stream with its `trouble`."""
    path = printable_path(found.path)
    try:
        opened = nullcontext(sys.stdin.buffer) if found.path == STDIN else open(found.path, "rb", buffering=0)  # noqa: SIM115
    except (OSError, ValueError) as error:
        detail = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        yield ByteStream(path, "", iter(()), b"", found.in_directory, [StreamError("unreadable_file", detail)])
        return
    with opened as file:
        unfolding = _Unfolding(path, options, on_bytes or (lambda count: None))
        yield from unfolding.streams(file, found)


class _Unfolding:
    """One file on disk with all that is inside it."""

    def __init__(self, path: str, options: ReadOptions, on_bytes: Callable[[int], None]) -> None:
        self.path = path
        self.reported = 0
        self._on_bytes = on_bytes
        self.expansion = Expansion(options.max_expanded_bytes)

    def on_bytes(self, count: int) -> None:
        self.reported += count
        self._on_bytes(count)

    def streams(self, file: IO[bytes], found: FoundFile) -> Iterator[ByteStream]:
        trouble: list[StreamError] = []
        chunks = _guard(self._read(file), trouble)
        head, chunks = peek(chunks, 16)
        if found.size is not None and detect_compression(head) == "zip":
            self.expansion.compressed = found.size
            yield from self._members(file, found.size, "", 0, found.in_directory)
        else:
            yield from self._unfold(chunks, "", 0, found.in_directory, trouble)
        if found.size is not None and self.reported < found.size:  # given up early, or read by way of a zip directory
            self.on_bytes(found.size - self.reported)

    def _read(self, file: IO[bytes]) -> Iterator[bytes]:
        try:
            while block := file.read(BLOCK_BYTES):
                self.expansion.compressed += len(block)
                self.on_bytes(len(block))
                yield block
        except OSError as error:
            raise StreamError("unreadable_file", error.strerror or str(error)) from error

    def _unfold(
        self, chunks: Iterator[bytes], member: str, layer: int, mixed: bool, trouble: list[StreamError]
    ) -> Iterator[ByteStream]:
        head, chunks = peek(chunks, 16)
        kind = detect_compression(head)
        if kind is None:
            head, chunks = peek(chunks, HEAD_BYTES)
            yield ByteStream(self.path, member, chunks, head[:HEAD_BYTES], mixed, trouble)
        elif layer >= _MAX_LAYERS:
            trouble.append(StreamError("archive_limit", f"compressed more than {_MAX_LAYERS} times over"))
            yield ByteStream(self.path, member, iter(()), b"", mixed, trouble)
        elif kind == "zip":
            yield from self._spooled_zip(chunks, member, layer, mixed, trouble)
        else:
            expanded = _guard(in_blocks(decompress(chunks, kind, self.expansion)), trouble)
            yield from self._unfold(expanded, member, layer + 1, mixed, trouble)

    def _spooled_zip(
        self, chunks: Iterable[bytes], member: str, layer: int, mixed: bool, trouble: list[StreamError]
    ) -> Iterator[ByteStream]:
        """Read a zip file that comes as a stream: its directory is at the end, so it has to lie on disk first."""
        with tempfile.TemporaryFile() as file:
            for chunk in _guard(chunks, trouble):
                file.write(chunk)
            size = file.tell()
            yield from self._members(file, size, member, layer, mixed)
        if trouble:
            yield ByteStream(self.path, member, iter(()), b"", mixed, trouble)

    def _members(self, file: IO[bytes], size: int, prefix: str, layer: int, mixed: bool) -> Iterator[ByteStream]:
        for member in read_zip(file):
            trouble: list[StreamError] = []
            name = f"{prefix}!{member.name}" if prefix else member.name
            chunks = _guard(in_blocks(self._counted(member.chunks)), trouble)
            yield from self._unfold(chunks, name, layer + 1, mixed or member.siblings, trouble)
            if layer == 0:  # inner archives were counted when they were spooled
                self.on_bytes(max(0, min(member.compressed_bytes, size - self.reported)))

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.expansion.add(len(chunk))
            yield chunk


def _guard(chunks: Iterable[bytes], trouble: list[StreamError]) -> Iterator[bytes]:
    """Yield `chunks`; an error ends them and goes to `trouble`."""
    try:
        yield from chunks
    except StreamError as error:
        trouble.append(error)
