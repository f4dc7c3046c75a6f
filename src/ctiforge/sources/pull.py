"""Getting catalogues and feeds from their publishers, a mirror or a folder: whole and checked, or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import orjson

from ctiforge.core.errors import InputError, SettingError, did_you_mean
from ctiforge.core.files import atomic_writer, file_sha256, write_json
from ctiforge.sources.download import Download, download_file
from ctiforge.sources.published import SOURCES, PublishedFile, find_source
from ctiforge.sources.whole_file import first_byte, read_whole_file

__all__ = ["RECORD_NAME", "PulledFile", "pull_sources", "read_record"]

RECORD_NAME: Final = "sources.json"
"""In the folder: what each file is, where it came from, and its SHA-256."""

_FIX: Final = "pull it again, or from another place with --from"
_HEX: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PulledFile:
    """A file, now in its place.

    Attributes:
        source: ``attack``, ``capec``, ``cwe``, ``kev`` or ``epss``.
        release: as asked for; empty where the publisher keeps no releases.
        pinned: its SHA-256 was known beforehand; otherwise it is what came, and `sha256` says what that is.
        how: ``present`` (was there already), ``copied`` or ``downloaded``.
        origin: URL or path, without credentials.
        requests: made for it; more than 1 where a download was resumed.
    """

    source: str
    name: str
    path: Path
    release: str
    sha256: str
    bytes: int
    pinned: bool
    how: Literal["present", "copied", "downloaded"]
    origin: str
    requests: int = 0


def pull_sources(
    names: Iterable[str],
    out: Path,
    *,
    origin: str | None = None,
    releases: Mapping[str, str] | None = None,
    digests: Mapping[str, str] | None = None,
    show: Callable[[str], None] = print,
    on_bytes: Callable[[str, int], None] = lambda name, count: None,
) -> list[PulledFile]:
    """Put the files of sources into a folder.

    A file with a known SHA-256 that is there already is left alone; feeds that change daily are got anew. A download that
    breaks off goes on where it was, now or when called again, and takes its name only when it is whole, has the SHA-256 if one
    is known, and reads as what it should be. Proxies are taken from the environment (``HTTPS_PROXY``, ``NO_PROXY``).

    Args:
        names: of `ctiforge.sources.published.SOURCES`.
        out: folder, made if needed.
        origin: folder, or HTTP address of one, that has the files by their names, instead of the publishers.
        releases: other releases than the pinned ones, by source.
        digests: SHA-256 that the user expects, by file name; it overrides what is pinned.
        show: takes a line about each source's terms before the first request.

    Raises:
        SettingError: a name, release or digest is not one.
        InputError: a file cannot be had, or is not what it should be; what was there before is untouched.
        MissingExtraError: downloads need the package httpx.
    """
    wanted = _wanted(names, releases or {}, digests or {})
    for source in dict.fromkeys(each.source for each in wanted):
        show(f"{source}: {SOURCES[source].terms}")
    record = read_record(out)
    pulled = []
    for each in wanted:
        done = _pull(each, out, origin, record, on_bytes)
        pulled.append(done)
        record[each.name] = {
            "source": done.source, "release": done.release, "sha256": done.sha256, "bytes": done.bytes,
            "pinned": done.pinned, "origin": done.origin,
        }  # fmt: skip
        _keep_record(out, record)
    return pulled


def _wanted(names: Iterable[str], releases: Mapping[str, str], digests: Mapping[str, str]) -> list[PublishedFile]:
    chosen = list(dict.fromkeys(names))
    files: list[PublishedFile] = []
    for name in chosen:
        files += find_source(name).files(releases.get(name))
    for name in releases:
        if name not in chosen:
            raise SettingError(f"a release of {name!r} is given, which is not pulled", fix=f"add {name} to the sources")
    known = {each.name for each in files}
    for name, digest in digests.items():
        if name not in known:
            raise SettingError(
                f"a SHA-256 of {name!r} is given, which is none of the files",
                fix=did_you_mean(name, known) or f"use one of {', '.join(sorted(known))}",
            )
        if not _HEX.fullmatch(digest.lower()):
            raise SettingError(f"{digest!r} is no SHA-256", fix="give 64 hexadecimal digits")
    return [each.expecting(digests[each.name].lower()) if each.name in digests else each for each in files]


def read_record(out: Path) -> dict[str, dict[str, Any]]:
    """Return what `pull_sources` wrote about the files in a folder, by name; a missing or damaged record is empty."""
    try:
        content = orjson.loads((out / RECORD_NAME).read_bytes())
        return {str(name): dict(facts) for name, facts in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _keep_record(out: Path, record: Mapping[str, Any]) -> None:
    try:
        write_json(out / RECORD_NAME, record)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}", fix="name another folder with --out") from None


def _pull(
    file: PublishedFile,
    out: Path,
    origin: str | None,
    record: Mapping[str, Mapping[str, Any]],
    on_bytes: Callable[[str, int], None],
) -> PulledFile:
    target = out / file.name
    if target.exists() and (present := _present(file, target, record)):
        return present
    if origin is not None and urlsplit(origin).scheme not in ("http", "https"):
        where = _copy(file, Path(origin).expanduser(), target)
        return _pulled(file, target, "copied", str(where))
    url = f"{origin.rstrip('/')}/{file.name}" if origin else file.url
    download = Download(
        url, target, file.sha256, elsewhere="a mirror or a folder that has the file: --from DIR|URL", extra="ask"
    )
    requests = download_file(download, lambda count: on_bytes(file.name, count), lambda part: _check(file, part))
    return _pulled(file, target, "downloaded", download.address, requests)


def _present(file: PublishedFile, target: Path, record: Mapping[str, Mapping[str, Any]]) -> PulledFile | None:
    """Return the file that is there if it need not be got again."""
    known = record.get(file.name, {})
    found = file_sha256(target)
    if file.sha256 and found != file.sha256:
        raise InputError(
            f"{target}: there is another file: SHA-256 {found}, expected is {file.sha256}",
            fix=f"remove or rename {target}, or name another folder with --out",
        )
    if file.sha256 or (file.release and known.get("sha256") == found):
        return _pulled(file, target, "present", str(known.get("origin", "")))
    return None


def _pulled(
    file: PublishedFile, target: Path, how: Literal["present", "copied", "downloaded"], origin: str, requests: int = 0
) -> PulledFile:
    digest = file.sha256 or file_sha256(target)
    size = target.stat().st_size
    return PulledFile(
        file.source, file.name, target, file.release, digest, size, file.sha256 is not None, how, origin, requests
    )


def _copy(file: PublishedFile, folder: Path, target: Path) -> Path:
    source = folder / file.name
    if not source.is_file():
        raise InputError(f"{source}: no such file", fix=f"put {file.name} into {folder}, or name another place with --from")
    if file.sha256 and (found := file_sha256(source)) != file.sha256:
        raise InputError(
            f"{source}: SHA-256 {found}, expected is {file.sha256}; nothing was copied",
            fix="get the published file again; for another release say --release",
        )
    _check(file, source)
    try:
        with open(source, "rb") as stream, atomic_writer(target) as copy:
            shutil.copyfileobj(stream, copy)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written: {error.strerror or error}", fix="name another folder with --out"
        ) from None
    return source


def _check(file: PublishedFile, path: Path) -> None:
    """Raise an `InputError` if the file does not read as what it should be: the page of a portal, a cut-off archive."""
    if file.form == "json":
        try:
            document = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise InputError(f"{file.name}: what came is not JSON ({error.msg}); nothing was kept", fix=_FIX) from None
        if not isinstance(document, dict) or file.mark not in document:
            raise InputError(f"{file.name}: what came has no {file.mark!r}; nothing was kept", fix=_FIX)
        return
    # The reader goes by content, so that the temporary name does not matter.
    shown = os.fspath(path)
    if file.form == "xml" and first_byte(shown, file.name, _FIX) != b"<":
        raise InputError(f"{file.name}: what came holds no XML; nothing was kept", fix=_FIX)
    if file.mark.encode() not in read_whole_file(shown, file.name, _FIX)[:4096]:
        raise InputError(f"{file.name}: what came does not say {file.mark!r}; nothing was kept", fix=_FIX)
