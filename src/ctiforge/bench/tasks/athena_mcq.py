"""AthenaBench CKT, its multiple choice: questions on CTI knowledge with five options and a final ``Answer:`` line.

JSON Lines with ``question``, ``option_a`` to ``option_e``, ``prompt``, ``answer``, ``url``, ``source_type``, as
``benchmark/athena-cti-ckt-3k.jsonl`` (once ``athena-cti-mcq-3k.jsonl``) in
https://github.com/Athena-Software-Group/athenabench (arXiv 2511.01144).
"""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase

from ctiforge.bench.publications import ATHENA_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_exact
from ctiforge.bench.task_rows import Row, read_jsonl
from ctiforge.bench.task_targets import target_of
from ctiforge.bench.tasks.cti_mcq import shot

__all__ = ["OTHER_FILES", "TASK", "load"]

OTHER_FILES = ("athena-cti-mcq-3k.jsonl",)
"""Names that the file had before."""

_MOST_OPTIONS = 10


def load(path: Path) -> list[Sample]:
    """Read the fields. Options may also be a list under ``options`` or ``choices``, or an object of letters there. Of several
    gold fields ``answer`` counts, then ``updated_answer``, then ``correct_answer`` (which the publishers corrected).

    Raises:
        InputError: the file, or a row of it, cannot be read.
    """
    samples = []
    for row in read_jsonl(path):
        options = _options(row)
        samples.append(
            Sample(
                id=f"athena-mcq/{row.number:04d}",
                input=row.text("prompt", "input"),
                target=target_of(
                    row, "choice", "answer", "updated_answer", "correct_answer", "gold", "gt", choices=len(options)
                ),
                choices=options,
                question=row.text("question").strip(),
                source=row.optional("url"),
                metadata={"source_type": row.optional("source_type")},
            )
        )
    return samples


def _options(row: Row) -> tuple[str, ...]:
    given = row.value("options", "choices")
    if isinstance(given, dict):
        given = [given[letter] for letter in sorted(given)]
    if given is None:
        names = [f"option_{letter}" for letter in ascii_lowercase[:_MOST_OPTIONS]]
        given = [row.optional(name) for name in names]
        while given and not given[-1]:
            given.pop()
    if not isinstance(given, list) or not 2 <= len(given) <= _MOST_OPTIONS or not all(isinstance(each, str) for each in given):
        raise row.fault(f"no options: option_a, option_b, ... or a list of 2 to {_MOST_OPTIONS} texts under 'options'")
    return tuple(option.strip() for option in given)


TASK = Task(
    name="athena-mcq",
    description="multiple choice on CTI knowledge with five options, AthenaBench CKT",
    answer_kind="choice",
    file="athena-cti-ckt-3k.jsonl",
    licence=ATHENA_BENCH.licence,
    default_rule="cascade",
    load=load,
    judge=judge_exact,
    shot=shot,
)
