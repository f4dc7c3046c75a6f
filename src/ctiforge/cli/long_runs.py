"""What commands that run for long have in common: lines with the time since the start, and Ctrl-C that loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from ctiforge.core.errors import ExitCode

__all__ = ["resumable", "timed_reporter"]


def timed_reporter() -> Callable[[str], None]:
    """Return a function that writes a line to stderr, with the seconds since now before it."""
    started = time.monotonic()

    def report(message: str) -> None:
        typer.echo(f"[{time.monotonic() - started:6.1f} s] {message}", err=True)

    return report


@contextmanager
def resumable() -> Iterator[None]:
    """Turn Ctrl-C into the message that the same command goes on, and its exit code."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from the last checkpoint", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
