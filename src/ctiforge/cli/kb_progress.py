"""Progress of a knowledge base's build: a line a step, and on a terminal a bar for what takes long."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from ctiforge.ask import BuildEvent

__all__ = ["KbProgress"]

_SAID: Final = {
    "reading": "reading the sources",
    "encoder": "converting the sentence encoder, once",
    "embedding": "embedding passages",
    "indexing": "indexing words",
    "writing": "writing",
}
_LINE_SECONDS: Final = 30.0


class KbProgress:
    """A context manager; `watch` takes the events of a build. Everything goes to stderr, bars only if `visible`."""

    def __init__(self, *, visible: bool) -> None:
        self._started = time.monotonic()
        self._step = ""
        self._last_line = 0.0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True) if visible else None
        self._bar: TaskID | None = None

    def __enter__(self) -> KbProgress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars:
            self._bars.stop()

    def watch(self, event: BuildEvent) -> None:
        """Show an event."""
        now = time.monotonic()
        if self._bars:
            if event.step != self._step:
                if self._bar is not None:
                    self._bars.remove_task(self._bar)
                self._bar = self._bars.add_task(_SAID[event.step], total=None)
            if self._bar is not None:
                self._bars.update(self._bar, completed=event.done, total=event.total or None)
        elif event.step != self._step or now - self._last_line >= _LINE_SECONDS:
            done = f": {event.done:,} of {event.total:,}" if event.total else ""
            typer.echo(f"[{now - self._started:6.1f} s] {_SAID[event.step]}{done}", err=True)
            self._last_line = now
        self._step = event.step
