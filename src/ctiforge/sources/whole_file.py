"""One file read whole, whatever it is compressed with: for catalogues, which are a single document."""

from __future__ import annotations

import os
from collections.abc import Callable

from ctiforge.core.errors import InputError
from ctiforge.sources.compression import StreamError
from ctiforge.sources.encodings import to_utf8
from ctiforge.sources.options import ReadOptions
from ctiforge.sources.streams import open_streams
from ctiforge.sources.walk import FoundFile, find_files, printable_path

__all__ = ["MAX_CATALOGUE_BYTES", "first_byte", "read_whole_file"]

MAX_CATALOGUE_BYTES = 1 << 30
"""Refuse to unpack more: the largest catalogue read here (Enterprise ATT&CK) is 50 MB."""


def read_whole_file(path: str | os.PathLike[str], what: str, fix: str, wanted: Callable[[str], bool] | None = None) -> bytes:
    """Return the unpacked bytes of a file: plain, .xz, .gz, .bz2, .zst, or the only fitting member of a .zip.

    Args:
        what: what the file should be, for messages.
        wanted: says by its name whether a zip member may be it; all may by default.

    Raises:
        InputError: the file is missing, a directory, damaged, cut off, too large, or a zip with more or less than one
            fitting member. Nothing of a damaged file is returned.
    """
    found = _find(path, what, fix)
    shown = printable_path(found.path)
    taken: dict[str, bytes] = {}
    for stream in open_streams(found, ReadOptions(max_expanded_bytes=MAX_CATALOGUE_BYTES), None):
        try:
            data = b"".join(to_utf8(stream.head[:4], stream.blocks))
        except StreamError as error:
            stream.trouble.append(error)
        if stream.trouble:
            raise InputError(f"{shown}: {what} cannot be read: {_why(stream.trouble[0])}", fix=fix)
        if not stream.member or wanted is None or wanted(stream.member):
            taken[stream.member] = data
    if len(taken) != 1:
        names = ", ".join(sorted(taken)[:3])
        raise InputError(f"{shown}: {what} is expected alone, but {len(taken)} such files are in it: {names}", fix=fix)
    return next(iter(taken.values()))


def first_byte(path: str | os.PathLike[str], what: str, fix: str) -> bytes:
    """Return the first byte of the unpacked file that is no white space, empty for an empty file.

    Raises:
        InputError: as `read_whole_file`, for damage in the first block.
    """
    found = _find(path, what, fix)
    for stream in open_streams(found, ReadOptions(max_expanded_bytes=MAX_CATALOGUE_BYTES), None):
        if start := stream.head.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"):
            return start[:1]
        if stream.trouble:
            raise InputError(f"{printable_path(found.path)}: {what} cannot be read: {_why(stream.trouble[0])}", fix=fix)
    return b""


def _find(path: str | os.PathLike[str], what: str, fix: str) -> FoundFile:
    text = os.fspath(path)
    if os.path.isdir(text):  # noqa: PTH112 - the path may be bytes that are not UTF-8
        raise InputError(f"{printable_path(text)}: {what} is expected here, but it is a directory", fix=fix)
    found = next(iter(find_files([text])))
    if not isinstance(found, FoundFile):
        raise InputError(f"{printable_path(text)}: {what} cannot be read: {found.detail}", fix=fix)
    return found


def _why(trouble: StreamError) -> str:
    """Return the reason without the remark that feeds are read up to the damage: a catalogue is not."""
    return trouble.detail.removesuffix("; what came before was read")
