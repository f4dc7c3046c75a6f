"""AthenaBench ATE: the one ATT&CK technique of an attack scenario, with a final ``Answer:`` line.

JSON Lines with ``technique_id``, ``description``, ``scenario``, ``prompt``, ``answer``, as
``benchmark/athena-cti-ate.jsonl`` in https://github.com/Athena-Software-Group/athenabench (arXiv 2511.01144). Golds name
sub-techniques where prompts forbid them; both sides are folded, as its ``athena_eval/evaluate.py`` does.
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.publications import ATHENA_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_techniques
from ctiforge.bench.task_rows import read_jsonl
from ctiforge.bench.task_targets import target_of

__all__ = ["TASK", "load", "shot"]


def load(path: Path) -> list[Sample]:
    """Read the fields; ``input``, ``gold`` and the like may stand for the usual names.

    Raises:
        InputError: the file, or a row of it, cannot be read.
    """
    return [
        Sample(
            id=f"athena-ate/{row.number:04d}",
            input=row.text("prompt", "input"),
            target=target_of(row, "technique_set", "answer", "gold", "gt", "technique_id"),
            question=row.text("scenario", "text", "description").strip(),
            source=row.optional("url"),
            metadata={"technique_id": row.optional("technique_id")},
        )
        for row in read_jsonl(path)
    ]


def shot(sample: Sample) -> str:
    """Return the scenario, what is asked, and ``Answer:``."""
    return f"Scenario: {sample.question}\nID of the MITRE ATT&CK technique in this scenario.\nAnswer:"


TASK = Task(
    name="athena-ate",
    description="ATT&CK technique of an attack scenario, AthenaBench",
    answer_kind="technique_set",
    file="athena-cti-ate.jsonl",
    licence=ATHENA_BENCH.licence,
    default_rule="last-line-ids",
    load=load,
    judge=judge_techniques,
    shot=shot,
)
