"""What an index says of the feeds that it was built from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ctiforge.core.advisory import Reject
from ctiforge.core.files import file_sha256
from ctiforge.sources.walk import STDIN, find_files, printable_path

__all__ = ["describe_sources"]


def describe_sources(paths: Iterable[str]) -> list[dict[str, Any]]:
    """Return path, number of files, bytes and SHA-256 of every feed.

    The digest of a folder is that of the list ``<SHA-256>  <path in the folder>`` of its files, a line each, in the order
    in which they are read. Standard input is read once, by the build: its digest is null. A file that cannot be read has the
    digest null too, and the build rejects it.
    """
    return [_describe(path) for path in paths]


def _describe(path: str) -> dict[str, Any]:
    shown = printable_path(path)
    if path == STDIN:
        return {"path": shown, "files": 0, "bytes": None, "sha256": None}
    found = [each for each in find_files([path]) if not isinstance(each, Reject)]
    digests = {each.path: _digest(each.path) for each in found}
    total = sum(each.size or 0 for each in found)
    if Path(path).is_dir():
        listing = hashlib.sha256()
        for name, digest in digests.items():
            listing.update(f"{digest}  {printable_path(str(Path(name).relative_to(path)))}\n".encode())
        return {"path": shown, "files": len(found), "bytes": total, "sha256": listing.hexdigest()}
    return {"path": shown, "files": len(found), "bytes": total, "sha256": digests.get(path)}


def _digest(path: str) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None
