"""What commands that write documents share: where the document goes, and who publishes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ctiforge.classify.outputs.options import TLP_LABELS
from ctiforge.core.errors import InputError, SettingError, did_you_mean

__all__ = ["csaf_options", "output_stream"]


def csaf_options(publisher: str | None, publisher_url: str | None, tlp: str | None) -> dict[str, Any]:
    """Return the options that were given.

    Raises:
        SettingError: there is no such TLP label.
    """
    if tlp is not None and tlp.upper() not in TLP_LABELS:
        hint = did_you_mean(tlp.upper(), TLP_LABELS) or f"choose one of {', '.join(TLP_LABELS)}"
        raise SettingError(f"unknown TLP label {tlp!r}", fix=hint)
    given = {"publisher_name": publisher, "publisher_namespace": publisher_url, "tlp": tlp and tlp.upper()}
    return {name: value for name, value in given.items() if value}


@contextmanager
def output_stream(to: Path | None) -> Iterator[TextIO]:
    """Open the file to write to; standard output if there is none.

    Raises:
        InputError: it cannot be written.
    """
    if to is None:
        yield sys.stdout
        return
    try:
        stream = to.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"{to}: cannot write ({error.strerror})", fix="choose another file with --to") from None
    with stream:
        yield stream
