"""AthenaBench TAA: the threat actor behind an anonymized incident summary, with a final ``Answer:`` line.

JSON Lines with ``url``, ``timestamp``, ``description``, ``prompt``, ``answer``, as ``benchmark/athena-cti-taa.jsonl`` in
https://github.com/Athena-Software-Group/athenabench (arXiv 2511.01144). Its authors also count related groups as plausible, by
a table of theirs; here a name matches as spelt, or by an alias table (``--aliases``).
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.actors import ActorAliases, judge_actor
from ctiforge.bench.publications import ATHENA_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_rows import read_jsonl
from ctiforge.bench.task_targets import target_of
from ctiforge.bench.tasks.cti_taa import shot

__all__ = ["TASK", "load"]


def load(path: Path) -> list[Sample]:
    """Read the fields; ``input``, ``gold`` and the like may stand for the usual names. A row without gold is unscored.

    Raises:
        InputError: the file, or a row of it, cannot be read.
    """
    return [
        Sample(
            id=f"athena-taa/{row.number:04d}",
            input=row.text("prompt", "input"),
            target=target_of(row, "actor", "answer", "gold", "gt", "threat_actor", needed=False),
            question=row.text("description", "text").strip(),
            source=row.optional("url"),
            metadata={"timestamp": row.optional("timestamp")},
        )
        for row in read_jsonl(path)
    ]


TASK = Task(
    name="athena-taa",
    description="threat actor behind an anonymized incident summary, AthenaBench",
    answer_kind="actor",
    file="athena-cti-taa.jsonl",
    licence=ATHENA_BENCH.licence,
    default_rule="answer-tag",
    load=load,
    judge=judge_actor(ActorAliases()),
    shot=shot,
)
