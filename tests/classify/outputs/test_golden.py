"""Every format as a whole, byte for byte. After a wanted change: ``UPDATE_GOLDEN=1 pytest tests/classify/outputs``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ctiforge.classify.outputs import OUTPUTS, OutputOptions
from ctiforge.classify.prediction import Prediction

VARIANTS = {
    "table-80": ("table", {"width": 80}),
    "table-100-explain": ("table", {"width": 100, "explain": True}),
    "table-160-colour": ("table", {"width": 160, "colour": True}),
    "table-80-ascii": ("table", {"width": 80, "ascii_only": True}),
    "jsonl": ("jsonl", {}),
    "json": ("json", {"top_k": 1}),
    "csv": ("csv", {"top_k": 2}),
    "markdown": ("markdown", {}),
    "cve-adp": ("cve-adp", {"adp_always": True, "org_short_name": "quill"}),
    "nvd": ("nvd", {}),
    "csaf": ("csaf", {}),
}


def rendered(name: str, options: OutputOptions, predictions: tuple[Prediction, ...]) -> str:
    renderer = OUTPUTS[name].renderer(options)
    return renderer.begin() + "".join(map(renderer.render, predictions)) + renderer.end()


@pytest.mark.parametrize("variant", VARIANTS)
def test_output_is_the_golden_file(
    variant: str, options: OutputOptions, golden: Path, batch: tuple[Prediction, ...], hostile: Prediction
) -> None:
    name, changes = VARIANTS[variant]
    text = rendered(name, replace(options, **changes), (*batch, hostile))
    path = golden / f"{variant}{OUTPUTS[name].suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_bytes(text.encode())
    assert text.encode() == path.read_bytes()


def test_every_format_has_a_golden_file() -> None:
    assert {name for name, _ in VARIANTS.values()} == set(OUTPUTS)
