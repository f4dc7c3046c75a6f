"""CTI-RCM-2021: as CTI-RCM, over 1,000 CVEs of 2021 (CTI-Bench, arXiv 2406.07599).

43 texts occur more than once, two golds are the category CWE-264, and the training file of at least one published model holds
all items with their labels.
"""

from __future__ import annotations

from functools import partial

from ctiforge.bench.publications import CTI_BENCH
from ctiforge.bench.task import Task
from ctiforge.bench.task_judges import judge_exact
from ctiforge.bench.tasks.cti_rcm import load, shot

__all__ = ["TASK"]

TASK = Task(
    name="cti-rcm-2021",
    description="CWE of a CVE description, 1,000 CVEs of 2021",
    answer_kind="cwe",
    file="cti-rcm-2021.tsv",
    licence=CTI_BENCH.licence,
    default_rule="last-cwe",
    load=partial(load, name="cti-rcm-2021"),
    judge=judge_exact,
    shot=shot,
    sha256="a1fc5348b4bc181778dd98055f267b584755215580dd8a18896134e2670d43d3",
    url=f"{CTI_BENCH.files_url}/cti-rcm-2021.tsv",
)
