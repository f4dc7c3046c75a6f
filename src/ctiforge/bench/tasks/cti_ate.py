"""CTI-ATE: the ATT&CK techniques in a description of malware (CTI-Bench, arXiv 2406.07599).

60 descriptions, 47 of the Enterprise and 13 of the Mobile matrix. Sub-techniques count as their technique, in golds and
answers, as the prompts ask.
"""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.publications import CTI_BENCH
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import judge_techniques
from ctiforge.bench.task_rows import read_table
from ctiforge.bench.task_targets import target_of

__all__ = ["TASK", "load", "shot"]


def load(path: Path) -> list[Sample]:
    """Read the columns URL, Platform, Description, Prompt and GT.

    Raises:
        InputError: the file, or a row of it, cannot be read.
    """
    return [
        Sample(
            id=f"cti-ate/{row.number:04d}",
            input=row.text("Prompt"),
            target=target_of(row, "technique_set", "GT"),
            question=row.text("Description").strip(),
            source=row.optional("URL"),
            metadata={"platform": row.optional("Platform")},
        )
        for row in read_table(path, ("Description", "Prompt", "GT"))
    ]


def shot(sample: Sample) -> str:
    """Return the description, what is asked, and ``Answer:``; without the prompt's list of all techniques."""
    platform = sample.metadata.get("platform") or "Enterprise"
    return f"Text: {sample.question}\nIDs of the MITRE ATT&CK {platform} techniques in this text.\nAnswer:"


TASK = Task(
    name="cti-ate",
    description="ATT&CK techniques in a description of malware, 60 texts; F1 of the sets",
    answer_kind="technique_set",
    file="cti-ate.tsv",
    licence=CTI_BENCH.licence,
    default_rule="last-line-ids",
    load=load,
    judge=judge_techniques,
    shot=shot,
    sha256="79e5354a5c6aae0c979389786853e768201f8d129fb0f0ca5af392555f238f28",
    url=f"{CTI_BENCH.files_url}/cti-ate.tsv",
)
