"""Errors of triage are told by a command line, over HTTP and on a page: they say what to do, not what to type."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctiforge.cli.triage_store import _TYPED

MODULES = sorted((Path(__file__).resolve().parents[2] / "src" / "ctiforge" / "triage").rglob("*.py"))


def keywords(path: Path, name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == name:
            yield ast.unparse(node.value)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_fix_names_an_option(path: Path) -> None:
    assert [fix for fix in keywords(path, "fix") if re.search(r"--[a-z]|ctiforge triage|CTIFORGE_", fix)] == []


def test_the_command_line_knows_what_every_error_is_about() -> None:
    about = {ast.literal_eval(each) for path in MODULES for each in keywords(path, "about")}
    assert about - {"entry"} == set(_TYPED) - {"entry"}
