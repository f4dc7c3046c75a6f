"""AthenaBench RCM: the CWE of a CVE description, with a final ``Answer:`` line.

JSON Lines with ``cve_id``, ``description``, ``prompt``, ``answer``, as ``benchmark/athena-cti-rcm.jsonl`` in
https://github.com/Athena-Software-Group/athenabench (arXiv 2511.01144).
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.publications import ATHENA_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_exact
from ctiforge.bench.task_rows import read_jsonl
from ctiforge.bench.task_targets import target_of
from ctiforge.bench.tasks.cti_rcm import shot

__all__ = ["TASK", "load"]


def load(path: Path) -> list[Sample]:
    """Read the fields; ``input``, ``gold`` and the like may stand for the usual names.

    Raises:
        InputError: the file, or a row of it, cannot be read.
    """
    return [
        Sample(
            id=f"athena-rcm/{row.number:04d}",
            input=row.text("prompt", "input"),
            target=target_of(row, "cwe", "answer", "gold", "gt", "label", "cwe_id"),
            question=row.text("description", "text").strip(),
            source=row.optional("url"),
            metadata={"cve_id": row.optional("cve_id", "cve") or None},
        )
        for row in read_jsonl(path)
    ]


TASK = Task(
    name="athena-rcm",
    description="CWE of a CVE description, AthenaBench",
    answer_kind="cwe",
    file="athena-cti-rcm.jsonl",
    licence=ATHENA_BENCH.licence,
    default_rule="last-cwe",
    load=load,
    judge=judge_exact,
    shot=shot,
)
