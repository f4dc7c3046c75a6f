"""CTI-TAA: the threat actor behind an anonymized report (CTI-Bench, arXiv 2406.07599).

50 reports. The published file has no gold answers, so its samples are unscored unless the user's copy has a column GT or golds
are given beside it (``--gold``). Names match as spelt, or by an alias table (``--aliases``).
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.actors import ActorAliases, judge_actor
from ctiforge.bench.publications import CTI_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_rows import read_table
from ctiforge.bench.task_targets import target_of

__all__ = ["TASK", "load", "shot"]


def load(path: Path) -> list[Sample]:
    """Read the columns URL, Text, Prompt and, where there is one, GT.

    Raises:
        InputError: the file, or a row of it, cannot be read.
    """
    return [
        Sample(
            id=f"cti-taa/{row.number:04d}",
            input=row.text("Prompt"),
            target=target_of(row, "actor", "GT", "gold", needed=False),
            question=row.text("Text").strip(),
            source=row.optional("URL"),
        )
        for row in read_table(path, ("Text", "Prompt"))
    ]


def shot(sample: Sample) -> str:
    """Return the report, what is asked, and ``Answer:``."""
    return f"Threat report: {sample.question}\nThreat actor behind this report.\nAnswer:"


TASK = Task(
    name="cti-taa",
    description="threat actor behind an anonymized report, 50 reports; golds are not published with the file",
    answer_kind="actor",
    file="cti-taa.tsv",
    licence=CTI_BENCH.licence,
    default_rule="answer-tag",
    load=load,
    judge=judge_actor(ActorAliases()),
    shot=shot,
    sha256="2f14c3209ea83bd9e7bc456e336d10a78870cfe2b9b4dc3f86ea50621d6f6321",
    url=f"{CTI_BENCH.files_url}/cti-taa.tsv",
)
