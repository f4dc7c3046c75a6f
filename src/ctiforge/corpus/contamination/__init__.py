"""Decontamination: whether a text has anything to do with a benchmark's items, level by level (docs/corpus-audit.md)."""

from __future__ import annotations

from ctiforge.corpus.contamination.benchmarks import BenchmarkItem, Benchmarks, load_benchmarks
from ctiforge.corpus.contamination.checker import ContaminationChecker, Hit
from ctiforge.corpus.contamination.instructions import Instructions, find_instructions
from ctiforge.corpus.contamination.normal_form import normalize
from ctiforge.corpus.contamination.settings import LEVELS, ContaminationSettings, Level

__all__ = [
    "LEVELS",
    "BenchmarkItem",
    "Benchmarks",
    "ContaminationChecker",
    "ContaminationSettings",
    "Hit",
    "Instructions",
    "Level",
    "find_instructions",
    "load_benchmarks",
    "normalize",
]
