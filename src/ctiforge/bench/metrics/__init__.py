"""Metrics of a task by its kind of answer, as a record holds them: JSON values only.

A metric is the mean over trials; a count is that of all trials together. Each function here takes the items of complete trials
(`over_trials.Trials`) and the samples that have a gold answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ctiforge.bench.metrics.actor import actor_metrics
from ctiforge.bench.metrics.choice import choice_metrics
from ctiforge.bench.metrics.cvss_vector import cvss_vector_metrics
from ctiforge.bench.metrics.label_set import label_set_metrics
from ctiforge.bench.metrics.over_trials import Trials
from ctiforge.bench.metrics.weakness import weakness_metrics
from ctiforge.bench.task import AnswerKind, Sample

__all__ = ["task_metrics"]

_BY_KIND: Final[dict[AnswerKind, Callable[[Trials, Sequence[Sample]], dict[str, Any]]]] = {
    "cwe": weakness_metrics,
    "choice": choice_metrics,
    "cvss_vector": cvss_vector_metrics,
    "technique_set": label_set_metrics,
    "mitigation_set": label_set_metrics,
    "actor": actor_metrics,
}


def task_metrics(kind: AnswerKind, trials: Trials, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the ``metrics`` of a task; empty for ``text``, and where there is no complete trial.

    Args:
        kind: of the task's answers.
        trials: the items of each complete trial, every (sample, permutation) once in each.
        samples: those with a gold answer.
    """
    if not trials or not samples or kind not in _BY_KIND:
        return {}
    return _BY_KIND[kind](trials, samples)
