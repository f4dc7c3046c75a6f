"""From the paths a user names to the files to read: directories in sorted order, each once, loops reported."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ctiforge.core.advisory import Reject, SourceRef
from ctiforge.sources.rejects import build_reject

__all__ = ["STDIN", "FoundFile", "find_files", "input_size", "is_skipped_name", "printable_path"]

STDIN = "-"
_DOCUMENTATION = ("readme", "license", "licence", "copying", "notice", "changelog", "contributing", "security.md")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to read.

    Attributes:
        path: as the operating system wants it; ``-`` is standard input.
        in_directory: found by walking a directory, so that it may be anything, e.g. a README beside the records.
        size: bytes on disk, or None where that is unknown (standard input, a pipe).
    """

    path: str
    in_directory: bool
    size: int | None


def printable_path(path: str) -> str:
    """Return `path` with bytes that are not UTF-8 replaced, so that it can be written to any output."""
    return os.fsencode(path).decode("utf-8", "replace")


def is_skipped_name(name: str) -> bool:
    """Tell whether a file found in a directory or archive is passed over: hidden, macOS metadata, or documentation.

    Only names that never hold a feed are passed over; everything else is read or rejected.
    """
    low = name.lower()
    return low.startswith((".", "__macosx")) or low.endswith(".md") or low.startswith(_DOCUMENTATION)


def find_files(paths: Iterable[str]) -> Iterator[FoundFile | Reject]:
    """Yield the files under `paths`, in the order given and sorted by name within a directory.

    Inside directories some names are passed over, see `is_skipped_name`. A directory that was already walked
    for the same argument, told by (device, inode), gives a `Reject` with ``symlink_loop``; what cannot be looked at gives
    ``unreadable_file``.
    """
    for path in paths:
        if path == STDIN:
            yield FoundFile(path, in_directory=False, size=None)
        else:
            yield from _walk(path)


def _walk(root: str) -> Iterator[FoundFile | Reject]:
    seen: set[tuple[int, int]] = set()
    stack = [root]
    while stack:
        path = stack.pop()
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path object for each of 300,000 files costs more than the call
            if not stat.S_ISDIR(status.st_mode):
                yield from _file(path, status, in_directory=path is not root)
                continue
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                yield _reject(path, "this directory was already read under another name; it is not read again", loop=True)
                continue
            seen.add(identity)
            names = sorted(name for name in os.listdir(path) if not is_skipped_name(name))  # noqa: PTH208
        except (OSError, ValueError) as error:
            loop = isinstance(error, OSError) and error.errno == errno.ELOOP
            yield _reject(path, f"{_why(error)}", loop=loop)
            continue
        stack += [os.path.join(path, name) for name in reversed(names)]  # noqa: PTH118


def _file(path: str, status: os.stat_result, *, in_directory: bool) -> Iterator[FoundFile | Reject]:
    if stat.S_ISREG(status.st_mode):
        yield FoundFile(path, in_directory, status.st_size)
    elif in_directory:
        # Opening a pipe or a device that happens to lie in a directory could block for ever.
        yield _reject(path, "not a regular file", loop=False)
    else:
        yield FoundFile(path, in_directory, size=None)


def _reject(path: str, detail: str, *, loop: bool) -> Reject:
    return build_reject(SourceRef(printable_path(path)), "symlink_loop" if loop else "unreadable_file", detail)


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def input_size(paths: Iterable[str]) -> int | None:
    """Return the bytes on disk of all files under `paths`, or None where one of them is standard input or a pipe."""
    total = 0
    for found in find_files(paths):
        if isinstance(found, FoundFile):
            if found.size is None:
                return None
            total += found.size
    return total
