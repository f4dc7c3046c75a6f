"""Content-addressed stages: what was computed from the same inputs, settings and code is there already, and is used."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256 as new_sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import orjson
import zstandard

from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, sha256, write_json
from ctiforge.corpus.lines import Rejection, decode_record, encode_line, read_lines
from ctiforge.corpus.record import CorpusRecord

__all__ = ["StageEvent", "StageResult", "StageStore", "StageWriter", "Watch"]

_RECORDS = "records.jsonl.zst"
_REJECTS = "rejects.jsonl.zst"


@dataclass(frozen=True, slots=True)
class StageEvent:
    """What a watcher is told: a stage started, went on, was done, or was skipped because its result is there."""

    stage: str
    state: Literal["started", "progress", "done", "skipped"]
    done: int = 0
    total: int = 0
    kept: int = 0
    rejected: int = 0


Watch = Callable[[StageEvent], None]


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage left on disk.

    Attributes:
        key: SHA-256 of name, code, settings and the digests of the inputs.
        digest: SHA-256 of the uncompressed lines that it kept.
        reasons: how many records were rejected for each reason.
        facts: what else the stage says of itself, JSON values only.
        skipped: it was there already.
    """

    name: str
    key: str
    digest: str
    kept: int
    reasons: Mapping[str, int]
    facts: Mapping[str, Any]
    folder: Path
    skipped: bool

    def lines(self) -> Iterator[bytes]:
        """Yield what was kept, a line each."""
        return read_lines([self.folder / _RECORDS])

    def records(self) -> Iterator[CorpusRecord]:
        """Yield what was kept, as records."""
        return map(decode_record, self.lines())

    def reject_lines(self) -> Iterator[bytes]:
        """Yield the rejections, a line each."""
        return read_lines([self.folder / _REJECTS])


class StageWriter:
    """Takes what a stage keeps and rejects, in a folder that is not yet the stage's."""

    def __init__(self, name: str, folder: Path, watch: Watch) -> None:
        self.name = name
        self.kept = 0
        self.reasons: Counter[str] = Counter()
        self.facts: dict[str, Any] = {}
        self._watch = watch
        self._hash = new_sha256()
        self._records = zstandard.open(folder / _RECORDS, "wb")  # each with a compressor of its own: one cannot do two streams
        self._rejects = zstandard.open(folder / _REJECTS, "wb")

    def keep(self, value: CorpusRecord | Mapping[str, Any]) -> None:
        """Write one record (or row, where a stage works on those)."""
        line = encode_line(value)
        self._hash.update(line)
        self._records.write(line)
        self.kept += 1

    def reject(self, rejection: Rejection) -> None:
        """Write one rejection."""
        self._rejects.write(encode_line(rejection))
        self.reasons[rejection.reason] += 1

    def progress(self, done: int, total: int) -> None:
        """Tell the watcher how far the stage is, in any unit."""
        self._watch(StageEvent(self.name, "progress", done, total))

    def counter(self, total: int) -> Callable[[int], None]:
        """Return a function to tell how many of `total` are done."""
        return lambda done: self.progress(done, total)

    @property
    def digest(self) -> str:
        """SHA-256 of the lines that were kept so far."""
        return self._hash.hexdigest()

    def __enter__(self) -> StageWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._records.close()
        self._rejects.close()


class StageStore:
    """A folder of finished stages, each in a folder named by its key."""

    def __init__(self, folder: Path, watch: Watch = lambda event: None) -> None:
        self._folder = folder
        self._watch = watch

    def run(
        self,
        name: str,
        work: Callable[[StageWriter], None],
        *,
        settings: Mapping[str, Any],
        inputs: Sequence[str],
        code: tuple[str, ...],
    ) -> StageResult:
        """Return the stage's result; `work` is called only if it is not there yet, or is damaged.

        Args:
            work: writes to the writer; what it writes must follow from `settings`, `inputs` and the code alone.
            settings: JSON values.
            inputs: digests of files and of earlier stages.
            code: source files and folders of the package that decide what `work` writes (``corpus/cves.py``, ``sources``).

        Raises:
            InputError: the folder cannot be written.
        """
        key = sha256(orjson.dumps([name, _code_digest(code), settings, inputs], option=orjson.OPT_SORT_KEYS))
        folder = self._folder / f"{name}-{key[:16]}"
        if finished := _load(name, key, folder):
            self._watch(StageEvent(name, "skipped", kept=finished.kept, rejected=sum(finished.reasons.values())))
            return finished
        self._watch(StageEvent(name, "started"))
        try:
            self._compute(name, key, folder, work)
        except OSError as error:
            if (error.filename and Path(error.filename).is_relative_to(self._folder)) or error.errno == 28:
                why = error.strerror or str(error)
                raise InputError(f"{self._folder}: cannot write the stages ({why})", fix="name another --out") from None
            raise
        result = _load(name, key, folder)
        if result is None:
            raise InputError(f"{folder}: changed while it was written", fix="let one build at a time use the folder")
        self._watch(StageEvent(name, "done", kept=result.kept, rejected=sum(result.reasons.values())))
        return StageResult(name, key, result.digest, result.kept, result.reasons, result.facts, folder, skipped=False)

    def _compute(self, name: str, key: str, folder: Path, work: Callable[[StageWriter], None]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=self._folder, prefix=f".{name}-"))
        try:
            with StageWriter(name, draft, self._watch) as writer:
                work(writer)
            stage = {
                "name": name,
                "key": key,
                "digest": writer.digest,
                "kept": writer.kept,
                "reasons": dict(sorted(writer.reasons.items())),
                "facts": writer.facts,
                "files": {part: file_sha256(draft / part) for part in (_RECORDS, _REJECTS)},
            }
            write_json(draft / "stage.json", stage)
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def _load(name: str, key: str, folder: Path) -> StageResult | None:
    """Return a finished stage, or None if it is not there, not this one, or damaged."""
    try:
        stage = orjson.loads((folder / "stage.json").read_bytes())
        if stage["key"] != key or any(file_sha256(folder / part) != digest for part, digest in stage["files"].items()):
            return None
        return StageResult(name, key, stage["digest"], stage["kept"], stage["reasons"], stage["facts"], folder, skipped=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@cache
def _code_digest(parts: tuple[str, ...]) -> str:
    """Return the SHA-256 of source files of the package and of all those below folders."""
    package = Path(__file__).parents[1]
    files = {
        file for part in parts for file in ((package / part).rglob("*.py") if (package / part).is_dir() else [package / part])
    }
    return sha256(b"".join(file.relative_to(package).as_posix().encode() + file.read_bytes() for file in sorted(files)))
