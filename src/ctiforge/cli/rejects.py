"""The rejects file: one JSON object a line for each record that could not be used."""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from types import TracebackType

import orjson

from ctiforge.core.advisory import Reject
from ctiforge.core.errors import InputError
from ctiforge.sources.rejects import reject_row

__all__ = ["DEFAULT_REJECTS", "RejectsFile"]

DEFAULT_REJECTS = "ctiforge-rejects.jsonl"


class RejectsFile:
    """Opened at the first reject, so that a clean run leaves no file; unbuffered, so that whatever stops the run finds complete
    lines. An earlier file of that name is replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: FileIO | None = None

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._stream:
            self._stream.close()

    def write(self, reject: Reject) -> None:
        """Append one reject.

        Raises:
            InputError: the file cannot be written; the run stops, because a reject must not be lost.
        """
        try:
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self.path.open("wb", buffering=0)
            line = orjson.dumps(reject_row(reject), option=orjson.OPT_APPEND_NEWLINE)
            while line:  # an unbuffered write may take less than all
                line = line[self._stream.write(line) :]
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot write the rejects file ({error.strerror})", fix="name another with --rejects FILE"
            ) from None
