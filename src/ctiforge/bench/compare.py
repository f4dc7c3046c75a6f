"""Paired comparison of runs: the same items, item by item, with a correction for the number of comparisons.

The unit is the sample. A sample's score is its mean over the trials (and rotations) of a run, of which the difference and its
interval are made; for McNemar's test it is right where more than half of its answers are.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctiforge.bench.saved_run import WRITE_ANEW, SavedRun, load_run
from ctiforge.bench.statistics import (
    BOOTSTRAP_SAMPLES,
    BOOTSTRAP_SEED,
    discordance,
    holm,
    mcnemar,
    paired_bootstrap_interval,
)
from ctiforge.core.errors import InputError

__all__ = [
    "COMPARISON_FORMAT",
    "Comparison",
    "TaskComparison",
    "compare_many",
    "compare_runs",
    "to_json",
]

COMPARISON_FORMAT: Final = "ctiforge-comparison/1"
_TOLERANCE: Final = 1e-9
_SHOWN_IDS: Final = 3


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task of two runs.

    Attributes:
        run_a, run_b: names of the runs; a is the baseline.
        n: samples, each a pair.
        accuracy_a, accuracy_b: mean over samples of the mean over trials.
        difference: ``accuracy_b - accuracy_a``, positive where b is better.
        ci95_low, ci95_high: paired bootstrap interval of the difference.
        both, only_a, only_b, neither: samples right by majority vote over trials.
        p_value: of McNemar's exact test on `only_a` and `only_b`.
        p_holm: adjusted over all tasks of all runs compared together.
        trials_a, trials_b: valid trials, the ones that count.
    """

    run_a: str
    run_b: str
    task: str
    n: int
    trials_a: int
    trials_b: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    ci95_low: float
    ci95_high: float
    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs against one baseline.

    Attributes:
        tasks: one row a task and run, run by run, tasks in the baseline's order.
        warnings: what makes the runs less than comparable, or was not compared; one sentence each.
    """

    baseline: str
    runs: Sequence[str]
    tasks: Sequence[TaskComparison]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class _TaskScores:
    """A task of a run: its part of the record, and of each sample how many of its answers are right."""

    result: Mapping[str, Any]
    right: Mapping[str, int]
    asked: Mapping[str, int]
    trials: int


def compare_runs(run_a: str | os.PathLike[str], run_b: str | os.PathLike[str]) -> Comparison:
    """Compare the tasks that two run folders have in common; differences are b minus a.

    Raises:
        InputError: see `compare_many`.
    """
    return compare_many(run_a, [run_b])


def compare_many(baseline: str | os.PathLike[str], others: Sequence[str | os.PathLike[str]]) -> Comparison:
    """Compare several run folders with one; p-values are adjusted over all tasks of all of them (Holm 1979).

    Raises:
        InputError: a folder has no results or damaged ones, the runs have no task in common with a valid trial, or a common
            task was run on different data or different items.
        MissingExtraError: scipy is not installed.
    """
    if not others:
        raise InputError("there is nothing to compare with", fix="name two run folders: ctiforge bench compare A B")
    folders = [Path(folder) for folder in (baseline, *others)]
    if twice := [str(folder) for folder, times in Counter(folder.resolve() for folder in folders).items() if times > 1]:
        raise InputError(f"{', '.join(twice)}: named twice", fix="name each run folder once")
    loaded = [load_run(folder) for folder in folders]
    names = _names(loaded)
    warnings: list[str] = []
    rows: list[TaskComparison] = []
    for run, name in zip(loaded[1:], names[1:], strict=True):
        warnings += _protocol_warnings(loaded[0], run, names[0], name)
        found = list(_compare(loaded[0], run, names[0], name, warnings))
        if not found:
            raise InputError(
                f"{run.folder}: no task with a valid trial in common with {loaded[0].folder}"
                + "".join(f"\n  {warning}" for warning in warnings),
                fix="run the same tasks under the same protocol, and resume a run that is not complete",
            )
        rows += found
    adjusted = holm([row.p_value for row in rows])
    rows = [replace(row, p_holm=p_holm) for row, p_holm in zip(rows, adjusted, strict=True)]
    return Comparison(names[0], names[1:], rows, list(dict.fromkeys(warnings)))


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON values, with what made its numbers."""
    return {
        "format": COMPARISON_FORMAT,
        "baseline": comparison.baseline,
        "runs": list(comparison.runs),
        "tests": {
            "unit": "sample",
            "difference": "run_b - run_a, mean over trials",
            "interval": "paired bootstrap percentile, 95 %",
            "bootstrap_samples": BOOTSTRAP_SAMPLES,
            "bootstrap_seed": BOOTSTRAP_SEED,
            "p_value": "McNemar, exact, two-sided, majority vote over trials",
            "p_holm": "Holm over all rows",
            "family": len(comparison.tasks),
        },
        "warnings": list(comparison.warnings),
        "tasks": [asdict(row) for row in comparison.tasks],
    }


def _names(runs: Sequence[SavedRun]) -> list[str]:
    """Return the models' names, or the folders where those do not tell the runs apart."""
    models = [str((run.record.get("model") or {}).get("name") or "") for run in runs]
    for names in (models, [run.folder.name for run in runs]):
        if len(set(names)) == len(names) and all(names):
            return names
    return [str(run.folder) for run in runs]


def _compare(a: SavedRun, b: SavedRun, name_a: str, name_b: str, warnings: list[str]) -> Iterator[TaskComparison]:
    """Yield the tasks in common; `p_holm` is the raw p-value still."""
    results_a, results_b = _results(a), _results(b)
    for here, there, run in ((results_a, results_b, name_a), (results_b, results_a, name_b)):
        if only := [task for task in here if task not in there]:
            warnings.append(f"{', '.join(only)}: only in {run}, not compared")
    for task in (task for task in results_a if task in results_b):
        _require_same_data(task, results_a[task], results_b[task], a, b)
        scores_a, scores_b = _task_scores(a, results_a[task]), _task_scores(b, results_b[task])
        without = [name for name, scores in ((name_a, scores_a), (name_b, scores_b)) if not scores.trials]
        if without:
            warnings.append(f"{task}: no valid trial in {' and '.join(without)}, not compared; resume the run")
            continue
        _require_same_items(task, scores_a, scores_b, a, b)
        warnings += _task_warnings(task, scores_a, scores_b, name_a, name_b)
        yield _compare_task(task, scores_a, scores_b, name_a, name_b)


def _results(run: SavedRun) -> dict[str, Mapping[str, Any]]:
    try:
        return {str(result["task"]): result for result in run.record["tasks"]}
    except KeyError as error:
        raise InputError(f"{run.folder / 'record.json'}: a task without {error}", fix=WRITE_ANEW) from error


def _task_scores(run: SavedRun, result: Mapping[str, Any]) -> _TaskScores:
    """Return the scores of the valid trials, once they are known to be those that the record's accuracy is of."""
    task = result["task"]
    valid = {trial["trial"] for trial in result.get("trials", ()) if trial.get("valid")}
    right: defaultdict[str, int] = defaultdict(int)
    asked: defaultdict[str, int] = defaultdict(int)
    for item in run.scores:
        if item.task == task and item.trial in valid and item.target:
            asked[item.sample_id] += 1
            right[item.sample_id] += item.outcome == "correct"
    accuracy = (result.get("accuracy") or {}).get("mean")
    scored = sum(right.values()) / sum(asked.values()) if asked else None
    if (accuracy is None) != (scored is None) or abs((accuracy or 0) - (scored or 0)) > _TOLERANCE:
        raise InputError(
            f"{run.folder}: scores.jsonl and record.json disagree on {task}: {scored} and {accuracy}",
            fix=WRITE_ANEW,
        )
    return _TaskScores(result, right, asked, len(valid) if asked else 0)


def _compare_task(task: str, a: _TaskScores, b: _TaskScores, name_a: str, name_b: str) -> TaskComparison:
    samples = sorted(a.asked)
    mean_a, mean_b = _means(a, samples), _means(b, samples)
    interval = paired_bootstrap_interval(mean_b - mean_a)
    pairs = discordance(mean_a > 0.5, mean_b > 0.5)
    p_value = mcnemar(pairs.only_a, pairs.only_b)
    accuracy_a, accuracy_b = float(mean_a.mean()), float(mean_b.mean())
    return TaskComparison(
        run_a=name_a,
        run_b=name_b,
        task=task,
        n=len(samples),
        trials_a=a.trials,
        trials_b=b.trials,
        accuracy_a=accuracy_a,
        accuracy_b=accuracy_b,
        difference=accuracy_b - accuracy_a,
        ci95_low=interval.low,
        ci95_high=interval.high,
        both=pairs.both,
        only_a=pairs.only_a,
        only_b=pairs.only_b,
        neither=pairs.neither,
        p_value=p_value,
        p_holm=p_value,
    )


def _means(scores: _TaskScores, samples: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([scores.right[each] / scores.asked[each] for each in samples], dtype=np.float64)


def _require_same_data(task: str, a: Mapping[str, Any], b: Mapping[str, Any], run_a: SavedRun, run_b: SavedRun) -> None:
    if a.get("sha256") != b.get("sha256"):
        raise InputError(
            f"{task}: the runs used different data: {a.get('file')} {str(a.get('sha256'))[:12]} in {run_a.folder}, "
            f"{b.get('file')} {str(b.get('sha256'))[:12]} in {run_b.folder}",
            fix="run both models on the same file",
        )


def _require_same_items(task: str, a: _TaskScores, b: _TaskScores, run_a: SavedRun, run_b: SavedRun) -> None:
    only_a, only_b = sorted(a.asked.keys() - b.asked.keys()), sorted(b.asked.keys() - a.asked.keys())
    if not only_a and not only_b:
        return
    listed = "; ".join(
        f"{len(ids)} only in {run.folder} ({', '.join(ids[:_SHOWN_IDS])}{', ...' if len(ids) > _SHOWN_IDS else ''})"
        for ids, run in ((only_a, run_a), (only_b, run_b))
        if ids
    )
    raise InputError(
        f"{task}: the runs have different items: {listed}",
        fix="run both under the same protocol, on as many items",
    )


def _protocol_warnings(a: SavedRun, b: SavedRun, name_a: str, name_b: str) -> list[str]:
    protocol_a, protocol_b = (run.record.get("protocol") or {} for run in (a, b))
    if protocol_a.get("digest") != protocol_b.get("digest"):
        return [f"the protocols differ: {_protocol(protocol_a)} in {name_a}, {_protocol(protocol_b)} in {name_b}"]
    return []


def _protocol(protocol: Mapping[str, Any]) -> str:
    custom = ", custom" if protocol.get("custom") else ""
    return f"{protocol.get('name')} {protocol.get('version')} ({str(protocol.get('digest'))[:12]}{custom})"


def _task_warnings(task: str, a: _TaskScores, b: _TaskScores, name_a: str, name_b: str) -> list[str]:
    found = []
    if (rule_a := a.result.get("rule")) != (rule_b := b.result.get("rule")):
        found.append(f"{task}: the extraction rules differ: {rule_a} in {name_a}, {rule_b} in {name_b}")
    if a.trials != b.trials:
        found.append(f"{task}: {a.trials} valid trials in {name_a}, {b.trials} in {name_b}")
    for name, scores in ((name_a, a), (name_b, b)):
        if invalid := [trial["trial"] for trial in scores.result.get("trials", ()) if not trial.get("valid")]:
            found.append(f"{task}: trials left out of {name} because they are not complete: {', '.join(map(str, invalid))}")
    return found
