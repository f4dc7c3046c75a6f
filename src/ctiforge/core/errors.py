"""Errors that a user can act on, and the exit codes of the command line.

A `CtiforgeError` is the user's to fix: it prints one message and one thing to do. Anything else that escapes is a bug of
ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum

__all__ = [
    "CatalogueError",
    "CtiforgeError",
    "ExitCode",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "RecipeError",
    "SettingError",
    "did_you_mean",
]


class ExitCode(IntEnum):
    """What the process says to a shell or a scheduler."""

    OK = 0
    """Everything was read and answered."""
    ERROR = 1
    """A user error that stopped the run (a missing file, a bad recipe, a damaged model)."""
    USAGE = 2
    """The command line itself was wrong."""
    SOME_REJECTED = 3
    """`--strict`: some records were rejected; the rest were answered."""
    NOTHING_READABLE = 4
    """Not one record could be read."""
    INCOMPLETE = 5
    """A benchmark run has trials without a score, because requests failed; the same command asks for these again."""
    CONTAMINATED = 6
    """A training corpus holds benchmark items at a level that was forbidden."""
    DRIFTED = 7
    """`ctiforge triage drift`: a measure is beyond its threshold."""
    CONFLICT = 8
    """A review was refused because somebody else was faster; nothing was written."""
    INTERRUPTED = 130
    """Ctrl-C; complete lines were left behind."""


class CtiforgeError(Exception):
    """A problem the user can fix.

    Args:
        message: what is wrong, with the file and place.
        fix: what to type or change next.
        about: what the fix is about, such as the argument ``reason``, where the error may be told in several places; a command
            line then adds its option, and a web page does not.
    """

    exit_code: ExitCode = ExitCode.ERROR

    def __init__(self, message: str, *, fix: str | None = None, about: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.about = about

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message


class InputError(CtiforgeError):
    """An input file or argument cannot be used at all (single bad records are `Reject`s, not errors)."""


class SettingError(InputError):
    """An option or argument has a value that it cannot have."""

    exit_code = ExitCode.USAGE


class CatalogueError(CtiforgeError):
    """The CWE catalogue is missing, damaged, or does not know the entry."""


class ModelError(CtiforgeError):
    """A model artefact is missing, damaged, or of a version this program does not read."""


class RecipeError(CtiforgeError):
    """A recipe has faults; all of them are in the message."""


class MissingExtraError(CtiforgeError):
    """A command needs an optional set of packages that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this command needs {package!r}, which is not installed",
            fix=f"pip install 'ctiforge[{extra}]'",
        )


def did_you_mean(name: str, known: Iterable[str], *, limit: int = 3) -> str:
    """Return a sentence such as ``did you mean 'jsonl'?``, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=limit, cutoff=0.6)
    if not close:
        return ""
    return "did you mean " + " or ".join(repr(name) for name in close) + "?"
