"""CTI-MCQ: 2,500 questions on CTI standards and practice with four options (CTI-Bench, arXiv 2406.07599).

Golds are C 928, B 813, D 385, A 374 times, so always answering C scores 0.371. One gold is written ``b``. Five questions lost
an option called None: the file has an empty cell and the prompt shows ``nan``; the option is then ``nan``, as it was asked.
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.publications import CTI_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_exact
from ctiforge.bench.task_rows import Row, read_table
from ctiforge.bench.task_targets import target_of

__all__ = ["TASK", "load", "shot"]

_LETTERS = "ABCD"


def load(path: Path) -> list[Sample]:
    """Read the columns URL, Question, Option A to Option D, Prompt and GT.

    Raises:
        InputError: the file, or a row of it, cannot be read.
    """
    options = [f"Option {letter}" for letter in _LETTERS]
    return [
        Sample(
            id=f"cti-mcq/{row.number:04d}",
            input=row.text("Prompt"),
            target=target_of(row, "choice", "GT", choices=len(_LETTERS)),
            choices=tuple(_option(row, letter) for letter in _LETTERS),
            question=row.text("Question").strip(),
            source=row.optional("URL"),
        )
        for row in read_table(path, ("Question", *options, "Prompt", "GT"))
    ]


def _option(row: Row, letter: str) -> str:
    option = row.optional(f"Option {letter}").strip()
    return option or ("nan" if f"{letter}) nan" in row.text("Prompt") else "")


def shot(sample: Sample) -> str:
    """Return the question, its options on a line each, and ``Answer:``."""
    options = "".join(f"{letter}) {option}\n" for letter, option in zip(_LETTERS + "EFGHIJ", sample.choices, strict=False))
    return f"Question: {sample.question}\n{options}Answer:"


TASK = Task(
    name="cti-mcq",
    description="multiple choice on CTI standards and practice, 2,500 questions with four options",
    answer_kind="choice",
    file="cti-mcq.tsv",
    licence=CTI_BENCH.licence,
    default_rule="cascade",
    load=load,
    judge=judge_exact,
    shot=shot,
    sha256="11e0af8db2dae9706c6e79901d2390bcdf9746e8feccbd9ba10682df649bcc6a",
    url=f"{CTI_BENCH.files_url}/cti-mcq.tsv",
)
