"""How far an audit is: records read, records checked of all, time left. On a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["AuditProgress"]


class AuditProgress:
    """A context manager; silent unless standard error is a terminal."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task = self._progress.add_task("read", total=None)

    def __enter__(self) -> AuditProgress:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def update(self, phase: str, done: int, total: int | None) -> None:
        """Show `done` of `total` records of a phase (see `ctiforge.corpus.audit.run_audit`)."""
        self._progress.update(self._task, description=phase, completed=done, total=total)
