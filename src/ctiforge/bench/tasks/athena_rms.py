"""AthenaBench RMS: the ATT&CK mitigations for an attack scenario, with a final ``Answer:`` line.

JSON Lines with ``technique_id``, ``description``, ``scenario``, ``prompt``, ``answer`` (``M1018, M1026``), as
``benchmark/athena-cti-rms.jsonl`` in https://github.com/Athena-Software-Group/athenabench (arXiv 2511.01144). Its authors print
the mean F1 of the items.
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.publications import ATHENA_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_mitigations
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
            id=f"athena-rms/{row.number:04d}",
            input=row.text("prompt", "input"),
            target=target_of(row, "mitigation_set", "answer", "gold", "gt", "mitigations"),
            question=row.text("scenario", "text", "description").strip(),
            source=row.optional("url"),
            metadata={"technique_id": row.optional("technique_id")},
        )
        for row in read_jsonl(path)
    ]


def shot(sample: Sample) -> str:
    """Return the scenario, what is asked with how many IDs, as in the prompts, and ``Answer:``."""
    count = len(sample.target.split(","))
    return f"Scenario: {sample.question}\nIDs of {count} MITRE ATT&CK mitigation(s) for this scenario.\nAnswer:"


TASK = Task(
    name="athena-rms",
    description="ATT&CK mitigations for an attack scenario, AthenaBench; F1 of the sets",
    answer_kind="mitigation_set",
    file="athena-cti-rms.jsonl",
    licence=ATHENA_BENCH.licence,
    default_rule="last-line-ids",
    load=load,
    judge=judge_mitigations,
    shot=shot,
)
