"""Getting the tasks' published files: from their publisher or a mirror, or from a folder; verified, or not kept at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ctiforge.bench.publications import PUBLICATIONS, Publication
from ctiforge.bench.task import Task
from ctiforge.bench.tasks import TASKS, find_task
from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.files import atomic_writer, file_sha256, write_text
from ctiforge.sources.download import Download, download_file

__all__ = ["FetchedFile", "fetch_task_files"]


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A task's file, now in its place and with the pinned SHA-256.

    Attributes:
        how: ``present`` (was there already), ``copied`` (from a folder) or ``downloaded``.
        requests: made for it; more than 1 where a download was resumed.
    """

    task: str
    path: Path
    sha256: str
    bytes: int
    how: Literal["present", "copied", "downloaded"]
    requests: int = 0


def fetch_task_files(
    names: Iterable[str],
    out: Path,
    base_url: str | None = None,
    from_dir: Path | None = None,
    *,
    show: Callable[[str], None] = print,
    on_bytes: Callable[[str, int], None] | None = None,
) -> list[FetchedFile]:
    """Put the published files of tasks into a folder; the licence is shown first and kept there as ``LICENCE-<name>.txt``.

    A file that is there already, with the pinned SHA-256, is left alone. A download that breaks off goes on where it was, now
    or when called again; nothing takes the file's name before its SHA-256 is right. Proxies are taken from the environment
    (``HTTPS_PROXY``, ``NO_PROXY``).

    Args:
        names: of tasks; all that are for fetching if empty.
        out: the folder, made if needed.
        base_url: folder URL to take the files from instead of the publisher's (a mirror).
        from_dir: folder to copy the files from; then nothing is downloaded.
        show: takes the licence notice of each publication.
        on_bytes: takes a task's name and the bytes it has so far.

    Raises:
        SettingError: a task is unknown or not for fetching, or `base_url` is no HTTP address.
        InputError: a file cannot be had, or is not the one that was published.
        MissingExtraError: downloads need the package httpx.
    """
    tasks = [_fetchable(name) for name in dict.fromkeys(names)] or [task for task in TASKS.values() if task.url and task.sha256]
    if base_url is not None and from_dir is not None:
        raise SettingError("both a mirror and a folder are given", fix="give --base-url or --from, not both")
    for publication in PUBLICATIONS:
        if any(task.licence == publication.licence for task in tasks):
            show(publication.notice)
            _keep_notice(publication, out)
    report = on_bytes or (lambda name, count: None)
    return [_fetch(task, out, base_url, from_dir, report) for task in tasks]


def _fetchable(name: str) -> Task:
    task = find_task(name)
    if task.url is None or task.sha256 is None:
        homes = [each.homepage for each in PUBLICATIONS if each.licence == task.licence]
        where = f"get {task.file} from {homes[0]}" if homes else f"put {task.file} into place yourself"
        raise SettingError(f"{task.name} is not for fetching", fix=f"{where}, and name its folder with --data")
    return task


def _keep_notice(publication: Publication, out: Path) -> None:
    try:
        write_text(out / f"LICENCE-{publication.slug}.txt", publication.notice)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}", fix="name another folder with --out") from None


def _fetch(
    task: Task, out: Path, base_url: str | None, from_dir: Path | None, report: Callable[[str, int], None]
) -> FetchedFile:
    assert task.sha256 is not None
    assert task.url is not None
    target = out / task.file
    if target.exists():
        if (found := file_sha256(target)) != task.sha256:
            raise InputError(
                f"{target}: there is another file: SHA-256 {found}, published is {task.sha256}",
                fix=f"remove or rename {target}, or name another folder with --out",
            )
        return _fetched(task, target, "present")
    if from_dir is not None:
        _copy(task, from_dir, target)
        return _fetched(task, target, "copied")
    url = f"{base_url.rstrip('/')}/{task.file}" if base_url else task.url
    done = download_file(Download(url, target, task.sha256), lambda count: report(task.name, count))
    return replace(_fetched(task, target, "downloaded"), requests=done)


def _fetched(task: Task, target: Path, how: Literal["present", "copied", "downloaded"]) -> FetchedFile:
    return FetchedFile(task.name, target, task.sha256 or "", target.stat().st_size, how)


def _copy(task: Task, from_dir: Path, target: Path) -> None:
    source = from_dir / task.file
    if not source.is_file():
        raise InputError(f"{source}: no such file", fix=f"put {task.file} into {from_dir}, or leave out --from")
    if (found := file_sha256(source)) != task.sha256:
        raise InputError(
            f"{source}: SHA-256 {found}, published is {task.sha256}; nothing was copied",
            fix="get the published file again",
        )
    with open(source, "rb") as stream, atomic_writer(target) as copy:
        shutil.copyfileobj(stream, copy)
