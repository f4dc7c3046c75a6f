"""The folder of a run: a manifest that says what is asked, and completions that are appended as they arrive.

A completion is one line, written with one call, so that a process killed at any moment leaves whole lines and at most one torn
one at the end, which the next opening cuts off. The last line for an item counts: a request that failed is asked again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from ctiforge.bench.completion import Completion
from ctiforge.core.errors import InputError
from ctiforge.core.files import write_json

__all__ = ["ItemKey", "RunFolder", "key_of", "read_completion"]

ItemKey = tuple[str, str, int, int]
"""Task, sample id, trial, permutation."""

_SYNC_SECONDS = 1.0
_NAMES = tuple(each.name for each in fields(Completion))


def key_of(completion: Completion) -> ItemKey:
    """Return what a run asks at most once."""
    return (completion.task, completion.sample_id, completion.trial, completion.permutation)


class RunFolder:
    """A run folder opened for going on; a context manager.

    Args:
        folder: made if it is not there.
        identity: what must be the same for a run to go on: model, protocol, data. JSON values only.

    Raises:
        InputError: the folder holds another run, something else, or cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self._path = self.folder / "completions.jsonl"
        self._manifest = self._continue(identity)
        self.done: dict[ItemKey, Completion] = {}
        self.failed: dict[ItemKey, Completion] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._read()
            write_json(self.folder / "manifest.json", self._manifest)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot write the run there ({error.strerror})", fix="name another --out"
            ) from None
        self._synced = time.monotonic()

    def _continue(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        path = self.folder / "manifest.json"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        wanted = orjson.loads(orjson.dumps(identity))
        if not path.exists():
            if self._path.exists():
                raise InputError(f"{self.folder}: has completions but no manifest.json", fix="name another --out")
            return {"format": "ctiforge-benchmark-run/1", "run": wanted, "started": [now]}
        try:
            manifest: dict[str, Any] = orjson.loads(path.read_bytes())
            before, started = manifest["run"], list(manifest["started"])
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            raise InputError(f"{path}: not the manifest of a benchmark run", fix="name another --out") from None
        if differing := _differences(before, wanted):
            raise InputError(
                f"{self.folder}: holds another run: {'; '.join(differing)}",
                fix="name another --out, or repeat the command that began it",
            )
        return manifest | {"started": [*started, now]}

    def _read(self) -> None:
        if not self._path.exists():
            return
        raw = self._path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.truncate(self._path, whole)
        for number, line in enumerate(raw[:whole].splitlines(), 1):
            try:
                completion = read_completion(line)
            except (orjson.JSONDecodeError, TypeError, KeyError):
                raise InputError(
                    f"{self._path}: line {number} is not a completion", fix="remove the line; its item is then asked again"
                ) from None
            key = key_of(completion)
            target, other = (self.failed, self.done) if completion.error else (self.done, self.failed)
            target[key] = completion
            other.pop(key, None)

    def append(self, completion: Completion) -> None:
        """Keep one completion; it survives the death of this process from here on, and that of the machine within a second.

        Raises:
            InputError: the disk is full or gone; what was kept before stays.
        """
        line = orjson.dumps(completion, option=orjson.OPT_APPEND_NEWLINE)
        try:
            start = os.lseek(self._descriptor, 0, os.SEEK_END)
            if os.write(self._descriptor, line) != len(line):
                os.ftruncate(self._descriptor, start)
                raise OSError(28, "No space left on device")
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot write ({error.strerror})", fix="make room, then repeat the command: the run goes on"
            ) from None
        key = key_of(completion)
        target, other = (self.failed, self.done) if completion.error else (self.done, self.failed)
        target[key] = completion
        other.pop(key, None)

    def note_end(self, timing: Mapping[str, Any]) -> None:
        """Add to the manifest when this start came to its end and what it took; kept out of the record, which is the same
        whether a run was interrupted or not."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._manifest = self._manifest | {"ended": [*self._manifest.get("ended", []), {"at": now, **timing}]}
        write_json(self.folder / "manifest.json", self._manifest)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.fsync(self._descriptor)
        os.close(self._descriptor)


def read_completion(line: bytes) -> Completion:
    """Read one line of ``completions.jsonl``; fields of later versions are passed over.

    Raises:
        orjson.JSONDecodeError, KeyError, TypeError: it is not one.
    """
    record = orjson.loads(line)
    known = {name: record[name] for name in _NAMES if name in record}
    return Completion(**known | {"ranked": tuple(known.get("ranked", ()))})


def _differences(before: Any, now: Any, place: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            found
            for key in sorted({*before, *now})
            for found in _differences(before.get(key), now.get(key), f"{place}.{key}".lstrip("."))
        ]
    return [] if before == now else [f"{place} was {_short(before)}, now {_short(now)}"]


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
