"""The command line: one module a command group; parsing, one call, rendering, and nothing else.

A user error prints one message and what to do, and ends with its exit code; a bug keeps its traceback.
"""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # Not at the top: worker processes import this module too, for its name, and have no use for commands.
    from ctiforge.cli.commands import app
    from ctiforge.core.errors import CtiforgeError

    _write_utf8()
    try:
        app()
    except CtiforgeError as error:
        sys.stderr.write(f"ctiforge: {error}\n")
        sys.exit(error.exit_code)


def _write_utf8() -> None:
    """Give files and pipes UTF-8 whatever the locale; a terminal gets what it can show, and marks for the rest."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace") if stream.isatty() else stream.reconfigure(encoding="utf-8")
