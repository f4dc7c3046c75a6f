"""CTI-RCM: the CWE that is the root cause of a CVE, from its description (CTI-Bench, arXiv 2406.07599).

1,000 CVEs of 2023 and 2024 with NVD's labels. 12 texts occur twice, once with two different labels; all of them are here,
since leaving some out is a protocol's choice.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ctiforge.bench.publications import CTI_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_exact
from ctiforge.bench.task_rows import read_table
from ctiforge.bench.task_targets import target_of
from ctiforge.core.ids import find_cve_id

__all__ = ["TASK", "load", "shot"]


def load(path: Path, name: str = "cti-rcm") -> list[Sample]:
    """Read the columns URL, Description, Prompt and GT.

    Raises:
        InputError: the file, or a row of it, cannot be read.
    """
    return [
        Sample(
            id=f"{name}/{row.number:04d}",
            input=row.text("Prompt"),
            target=target_of(row, "cwe", "GT"),
            question=row.text("Description").strip(),
            source=row.optional("URL"),
            metadata={"cve_id": find_cve_id(row.optional("URL"))},
        )
        for row in read_table(path, ("Description", "Prompt", "GT"))
    ]


def shot(sample: Sample) -> str:
    """Return the description and ``Answer:``."""
    return f"CVE Description: {sample.question}\nAnswer:"


TASK = Task(
    name="cti-rcm",
    description="CWE of a CVE description, 1,000 CVEs of 2023-2024",
    answer_kind="cwe",
    file="cti-rcm.tsv",
    licence=CTI_BENCH.licence,
    default_rule="last-cwe",
    load=partial(load, name="cti-rcm"),
    judge=judge_exact,
    shot=shot,
    sha256="ed7d7fa79fc912c627f96e229eaa38b3c4b6be813d834d434580be6d4703d700",
    url=f"{CTI_BENCH.files_url}/cti-rcm.tsv",
)
