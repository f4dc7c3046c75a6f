"""AthenaBench VSP: the CVSS v3.1 vector of a CVE description, with a final ``Answer:`` line.

JSON Lines with ``cve_id``, ``description``, ``prompt``, ``answer``, ``severity``, as ``benchmark/athena-cti-vsp.jsonl`` in
https://github.com/Athena-Software-Group/athenabench (arXiv 2511.01144). Its authors print 1 - deviation / 7.7 as accuracy; here
the deviation stays as it is, and an answer is correct if its base score is the gold's.
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.publications import ATHENA_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_vector
from ctiforge.bench.task_rows import read_jsonl
from ctiforge.bench.task_targets import target_of
from ctiforge.bench.tasks.cti_vsp import shot

__all__ = ["TASK", "load"]


def load(path: Path) -> list[Sample]:
    """Read the fields; ``input``, ``gold`` and the like may stand for the usual names.

    Raises:
        InputError: the file, or a row of it, cannot be read.
        MissingExtraError: the package cvss is not installed.
    """
    return [
        Sample(
            id=f"athena-vsp/{row.number:04d}",
            input=row.text("prompt", "input"),
            target=target_of(row, "cvss_vector", "answer", "gold", "gt", "vector"),
            question=row.text("description", "text").strip(),
            source=row.optional("url"),
            metadata={"cve_id": row.optional("cve_id", "cve") or None, "severity": row.optional("severity")},
        )
        for row in read_jsonl(path)
    ]


TASK = Task(
    name="athena-vsp",
    description="CVSS v3.1 vector of a CVE description, AthenaBench; absolute deviation of the base score",
    answer_kind="cvss_vector",
    file="athena-cti-vsp.jsonl",
    licence=ATHENA_BENCH.licence,
    default_rule="last-vector",
    load=load,
    judge=judge_vector,
    shot=shot,
)
