"""Every format as a whole, byte for byte. After a wanted change: ``UPDATE_GOLDEN=1 pytest tests/triage/exports``."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ctiforge.classify.outputs import OutputOptions
from ctiforge.triage import TriageStore, export
from ctiforge.triage.exports import EXPORTS

GOLDEN = Path(__file__).with_name("golden")


@pytest.mark.parametrize("form", EXPORTS)
def test_an_export_is_the_golden_file(form: str, filled: TriageStore, options: OutputOptions, tmp_path: Path) -> None:
    text = "".join(export(filled, form, options)).replace(f"{tmp_path}/", "")  # where a record was found
    path = GOLDEN / f"{form}{EXPORTS[form].suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_bytes(text.encode())
    assert text.encode() == path.read_bytes()


def test_every_format_has_a_golden_file_and_a_check(checks: SimpleNamespace) -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{form}{each.suffix}" for form, each in EXPORTS.items()}
    assert {*checks.CHECKS, *checks.NEEDING_SCHEMAS} == set(EXPORTS)
