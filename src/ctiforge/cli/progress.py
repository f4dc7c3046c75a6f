"""A progress bar for feeds: share of the bytes read, records a second, time left. On a terminal only."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["FeedProgress"]


class FeedProgress:
    """A context manager; does nothing unless `visible`.

    Args:
        total_bytes: size of the input on disk, or None if unknown (standard input): then no time left is shown.
    """

    def __init__(self, total_bytes: int | None, *, visible: bool) -> None:
        self._progress: Progress | None = None
        if visible:
            columns = [TextColumn("{task.fields[records]:,} records"), TextColumn("{task.fields[rate]}"), TimeElapsedColumn()]
            known = [BarColumn(), TaskProgressColumn(), TextColumn("left"), TimeRemainingColumn()] if total_bytes else []
            self._progress = Progress(*known, *columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task("classify", total=total_bytes, records=0, rate="")

    def __enter__(self) -> FeedProgress:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def advance(self, n_bytes: int) -> None:
        """Say that `n_bytes` more were read."""
        if self._progress:
            self._progress.advance(self._task, n_bytes)

    def count(self, records: int) -> None:
        """Say how many records are done."""
        if self._progress and records % 64 == 0:
            elapsed = self._progress.tasks[0].elapsed or 0
            rate = f"{records / elapsed:,.0f}/s" if elapsed > 0.5 else ""
            self._progress.update(self._task, records=records, rate=rate)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._progress:
            self._progress.stop()
