"""Who published the tasks, under which licence, and where their files are: the one place for these addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ATHENA_BENCH", "CTI_BENCH", "PUBLICATIONS", "Publication"]


@dataclass(frozen=True, slots=True)
class Publication:
    """A published collection of tasks.

    Attributes:
        name: ``CTI-Bench``; `slug` is the same for file names.
        licence: short name, as `Task.licence` has it; `licence_url` leads to its text.
        terms: what the licence means for someone who benchmarks, in one or two sentences.
        files_url: folder with the files, without a final slash; None if they are not for `ctiforge bench fetch`.
    """

    name: str
    slug: str
    citation: str
    homepage: str
    licence: str
    licence_url: str
    terms: str
    files_url: str | None = None

    @property
    def notice(self) -> str:
        """What is shown before files are fetched, and kept beside them."""
        return (
            f"{self.name}\n{self.citation}\n{self.homepage}\n\n"
            f"Licence: {self.licence}\n{self.licence_url}\n{self.terms}\n\n"
            "Use these files for evaluation only. ctiforge neither ships them nor trains on them.\n"
        )


CTI_BENCH: Final = Publication(
    name="CTI-Bench",
    slug="cti-bench",
    citation="Md Tanvirul Alam, Dipkamal Bhusal, Le Nguyen, Nidhi Rastogi: CTIBench: A Benchmark for Evaluating LLMs in Cyber "
    "Threat Intelligence, NeurIPS 2024 Datasets and Benchmarks, arXiv 2406.07599",
    homepage="https://github.com/xashru/cti-bench",
    licence="CC BY-NC-SA 4.0",
    licence_url="https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode",
    terms="You may not use the files commercially; credit the authors, and share changed files under the same licence.",
    files_url="https://huggingface.co/datasets/AI4Sec/cti-bench/resolve/main",
)

ATHENA_BENCH: Final = Publication(
    name="AthenaBench",
    slug="athenabench",
    citation="AthenaBench: A Dynamic Benchmark for Evaluating LLMs in Cyber Threat Intelligence, arXiv 2511.01144",
    homepage="https://github.com/Athena-Software-Group/athenabench",
    licence="Athena-Security-Group-ARL-NC-1.0",
    licence_url="https://github.com/Athena-Software-Group/athenabench/blob/main/License.md",
    terms="Academic research and education only, no commercial use; credit Athena Security Group.",
)

PUBLICATIONS: Final = (CTI_BENCH, ATHENA_BENCH)
