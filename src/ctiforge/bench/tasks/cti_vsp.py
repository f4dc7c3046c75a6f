"""CTI-VSP: the CVSS v3.1 vector of a CVE, from its description (CTI-Bench, arXiv 2406.07599).

CTI-Bench's measure is the mean absolute deviation of the base score. An answer is correct here if its base score is the gold's,
whichever metrics give it; exact vectors are counted apart.
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.publications import CTI_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_vector
from ctiforge.bench.task_rows import read_table
from ctiforge.bench.task_targets import target_of
from ctiforge.core.ids import find_cve_id

__all__ = ["TASK", "load", "shot"]


def load(path: Path) -> list[Sample]:
    """Read the columns URL, Description, Prompt and GT.

    Raises:
        InputError: the file, or a row of it, cannot be read.
        MissingExtraError: the package cvss is not installed.
    """
    return [
        Sample(
            id=f"cti-vsp/{row.number:04d}",
            input=row.text("Prompt"),
            target=target_of(row, "cvss_vector", "GT"),
            question=row.text("Description").strip(),
            source=row.optional("URL"),
            metadata={"cve_id": find_cve_id(row.optional("URL"))},
        )
        for row in read_table(path, ("Description", "Prompt", "GT"))
    ]


def shot(sample: Sample) -> str:
    """Return the description, what is asked, and ``Answer:``."""
    return f"CVE Description: {sample.question}\nCVSS v3.1 vector of this CVE.\nAnswer:"


TASK = Task(
    name="cti-vsp",
    description="CVSS v3.1 vector of a CVE description, 1,000 CVEs; absolute deviation of the base score",
    answer_kind="cvss_vector",
    file="cti-vsp.tsv",
    licence=CTI_BENCH.licence,
    default_rule="last-vector",
    load=load,
    judge=judge_vector,
    shot=shot,
    sha256="43d4ceefe042236a7d0885cb8506bf6537426cf2359eddb2450dd151864a498b",
    url=f"{CTI_BENCH.files_url}/cti-vsp.tsv",
)
