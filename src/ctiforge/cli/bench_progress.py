"""A progress bar for benchmark runs: trial by trial, accuracy so far, answers a second, time left. On a terminal only."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ctiforge.bench.completion import ScoredItem

__all__ = ["BenchProgress"]


class BenchProgress:
    """Shows one bar for the trial that runs, and leaves one line for each that ended; does nothing unless `visible`."""

    def __init__(self, trials: int, *, visible: bool) -> None:
        self._trials = trials
        self._counts: Counter[str] = Counter()
        self._title = ""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not visible,
        )
        self._visible = visible

    def begin(self, task: str, trial: int, total: int) -> None:
        """Show a new bar."""
        self._counts.clear()
        self._title = f"{task} trial {trial + 1}/{self._trials}"
        self._progress.start()
        self._bar = self._progress.add_task(self._title, total=total, state="")

    def advance(self, item: ScoredItem) -> None:
        """Count one scored answer."""
        self._counts[item.outcome] += 1
        if self._visible:
            self._progress.update(self._bar, advance=1, state=self._state())

    def _state(self) -> str:
        answered = self._counts.total()
        elapsed = self._progress.tasks[0].elapsed or 0
        rate = f" {answered / elapsed:,.0f}/s" if elapsed > 1 else ""
        failed = f" {self._counts['failed']} failed" if self._counts["failed"] else ""
        return f"accuracy {self._counts['correct'] / answered:.3f}{failed}{rate}"

    def end(self) -> None:
        """Take the bar off and leave a line."""
        if self._visible and self._counts:
            self._progress.console.print(f"{self._title}: {self._state()}", highlight=False)
        self._progress.remove_task(self._bar)
        self._progress.stop()
