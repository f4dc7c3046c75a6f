"""Progress of a build: one line a stage, and on a terminal a bar with the time left for the stage that runs."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from ctiforge.corpus.stages import StageEvent

__all__ = ["BuildProgress"]


class BuildProgress:
    """A context manager; `watch` takes the events of a build. Lines go to stderr, bars only if `visible`."""

    def __init__(self, *, visible: bool) -> None:
        self._started = time.monotonic()
        self._progress: Progress | None = None
        if visible:
            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
            self._progress = Progress(
                *columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True), transient=True
            )

    def __enter__(self) -> BuildProgress:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress:
            self._progress.stop()

    def watch(self, event: StageEvent) -> None:
        """Show an event."""
        if event.state == "progress":
            if self._progress:
                self._progress.update(self._progress.tasks[-1].id, completed=event.done, total=event.total)
            return
        if self._progress and event.state == "started":
            self._progress.add_task(event.stage, total=None)
        elif self._progress and event.state == "done":
            self._progress.remove_task(self._progress.tasks[-1].id)
        self._say(event)

    def _say(self, event: StageEvent) -> None:
        said = {
            "started": "",
            "done": f": {event.kept:,} kept, {event.rejected:,} rejected",
            "skipped": f": skipped, nothing changed ({event.kept:,} kept, {event.rejected:,} rejected)",
        }[event.state]
        line = f"[{time.monotonic() - self._started:6.1f} s] {event.stage}{said}"
        if self._progress:
            if event.state != "started":
                self._progress.console.print(line, highlight=False, markup=False)
        else:
            typer.echo(line, err=True)
