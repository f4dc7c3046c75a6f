"""Members of zip files, also of zip files that were cut off before their directory."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from ctiforge.sources.compression import BLOCK_BYTES, StreamError
from ctiforge.sources.walk import is_skipped_name

__all__ = ["ZipMember", "read_zip"]

_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")  # APPNOTE.TXT section 4.3.7
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
# LZMA members name their own dictionary size, up to 4 GiB, and zipfile sets no limit.


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file inside a zip file; read `chunks` before asking for the next member.

    Attributes:
        siblings: whether the archive holds other files too.
    """

    name: str
    chunks: Iterator[bytes]
    compressed_bytes: int = 0
    siblings: bool = True


def read_zip(file: IO[bytes]) -> Iterator[ZipMember]:
    """Yield the files in a zip file in its own order, without those that directories skip too.

    Where the directory at the end is missing or damaged, members are found by their local headers instead; what is read then
    ends with ``corrupt_file``. Chunks raise `StreamError`.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError, UnicodeDecodeError) as error:
        yield from _salvage(file, str(error))
        return
    with archive:
        infos = [info for info in archive.infolist() if not info.is_dir() and not _skipped(info.filename)]
        for info in infos:
            yield ZipMember(info.filename, _read_member(archive, info), info.compress_size, siblings=len(infos) > 1)


def _skipped(name: str) -> bool:
    return any(is_skipped_name(part) for part in name.split("/"))


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    if info.flag_bits & 1:
        raise StreamError("unreadable_file", "encrypted; decrypt it first")
    if info.compress_type not in _READABLE:
        raise StreamError("unreadable_file", f"zip compression method {info.compress_type} is not read; repack with deflate")
    try:
        with archive.open(info) as member:
            while block := member.read(BLOCK_BYTES):
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error) as error:
        raise StreamError("corrupt_file", f"the zip member is damaged: {error}; what came before was read") from error


def _salvage(file: IO[bytes], why: str) -> Iterator[ZipMember]:
    """Read members one after the other by their local headers, as far as the file goes."""
    place = 0
    detail = f"the zip file is damaged or cut off ({why}); what came before was read"
    while True:
        file.seek(place)
        head = file.read(_LOCAL_HEADER.size)
        if len(head) < _LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
            break
        _, _, flags, method, _, _, _, size, _, name_length, extra_length = _LOCAL_HEADER.unpack(head)
        name = file.read(name_length).decode("utf-8" if flags & 0x800 else "cp437", "replace")
        start = place + _LOCAL_HEADER.size + name_length + extra_length
        if (
            flags & 1
            or (method == zipfile.ZIP_STORED and flags & 8)
            or method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        ):
            break
        end = [start]
        if not name.endswith("/") and not _skipped(name):
            yield ZipMember(name, _salvage_member(file, start, size, method, end, detail))
        place = max(end[0], start + (0 if flags & 8 else size))
        if flags & 8:  # sizes follow the data, with or without a signature
            file.seek(place)
            after = file.read(24)
            place += max(0, after.find(b"PK\x03\x04"))
    yield ZipMember("", _cut_off(detail))


def _cut_off(detail: str) -> Iterator[bytes]:
    yield b""  # an error has to come out of reading, as with any other member
    raise StreamError("corrupt_file", detail)


def _salvage_member(file: IO[bytes], start: int, size: int, method: int, end: list[int], detail: str) -> Iterator[bytes]:
    file.seek(start)
    if method == zipfile.ZIP_STORED:
        while size and (block := file.read(min(size, BLOCK_BYTES))):
            size -= len(block)
            end[0] = file.tell()
            yield block
        if size:
            raise StreamError("corrupt_file", detail)
        return
    decoder = zlib.decompressobj(-15)
    try:
        while not decoder.eof and (block := file.read(BLOCK_BYTES)):
            place = file.tell()
            while block and not decoder.eof:
                yield decoder.decompress(block, BLOCK_BYTES)
                block = decoder.unconsumed_tail
            end[0] = place - len(decoder.unused_data)
            file.seek(place, os.SEEK_SET)
    except zlib.error as error:
        raise StreamError("corrupt_file", f"the zip member is damaged: {error}; what came before was read") from error
    if not decoder.eof:
        raise StreamError("corrupt_file", detail)
