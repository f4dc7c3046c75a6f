"""A tiny model with weights set by hand: four entries, a dozen stems, answers that can be worked out on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctiforge.models.linear import QuantizedWeights, write_linear_model

LABELS = ["CWE-20", "CWE-79", "CWE-89", "CWE-119", "CWE-787"]
# Weights of each stem for each label; CWE-20 and CWE-119 are Discouraged in CWE 4.14.
WORDS: dict[str, list[int]] = {
    "allow": [0, 0, 0, 0, 0],
    "attack": [0, 0, 0, 0, 0],
    "buffer": [-20, -50, -50, 100, 60],
    "in": [0, 0, 0, 0, 0],
    "inject": [0, 10, 80, -60, -60],
    "login": [0, 10, 20, -20, -20],
    "memori": [0, -50, -50, 127, 20],
    "overflow": [-20, -50, -50, 80, 90],
    "script": [-10, 110, -30, -50, -50],
    "sql": [-10, -60, 127, -60, -60],
    "sql inject": [-10, -60, 127, -60, -60],
    "the": [0, 0, 0, 0, 0],
    "valid": [100, 0, 0, 0, 0],
    "write": [-20, -50, -50, 10, 127],
}
MANIFEST: dict[str, Any] = {
    "name": "tiny",
    "labels": LABELS,
    "max_n": 2,
    "calibration": {policy: {"temperature": 0.3, "slope": 1.0, "intercept": 0.0} for policy in ("mitre", "nvd")},
    "threshold": {"mitre": 0.5, "nvd": 0.4},
}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    words = sorted(WORDS)
    weights = QuantizedWeights(
        np.array([WORDS[word] for word in words], dtype=np.int8),
        np.full(len(LABELS), 0.01, dtype=np.float32),
        np.full(len(LABELS), -0.5, dtype=np.float32),
        np.ones(len(words), dtype=np.float32),
    )
    write_linear_model(folder, MANIFEST, words, weights)
    return folder
