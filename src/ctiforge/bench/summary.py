"""From the scored items of a task to its part of the record: trials, accuracy, metrics, sensitivity, contamination."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, get_args

from ctiforge.bench.completion import Outcome, ScoredItem
from ctiforge.bench.metrics import task_metrics
from ctiforge.bench.metrics.over_trials import Trials, mean_over_trials, share
from ctiforge.bench.statistics import BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED, bootstrap_interval, mean_and_deviation
from ctiforge.bench.task import LoadedTask, Sample

__all__ = ["sensitivity_table", "summarise_task", "valid_trials"]

_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
_ANSWERED: Final = ("correct", "wrong")
_TOP_K: Final = (1, 3, 5)


def summarise_task(
    loaded: LoadedTask,
    seeds: Mapping[int, int | None],
    items: Sequence[ScoredItem],
    *,
    rule: str,
    sensitivity: Sequence[Mapping[str, Any]] = (),
    flagged: AbstractSet[str] | None = None,
    permuted: bool = False,
) -> dict[str, Any]:
    """Return what the record says of a task, JSON values only; the order of `items` does not matter.

    A trial is valid if it has every sample (in every rotation) once and none of them failed. An invalid one is reported with
    its counts and what is missing, without an accuracy, and is in no mean. Samples without a gold answer are counted as
    ``unscored`` and are in nothing else.

    Args:
        loaded: the task and its samples.
        seeds: by trial, of all trials that there should be.
        items: of this task alone, under `rule`.
        rule: name of the extraction rule.
        sensitivity: as `sensitivity_table` makes it.
        flagged: ids of the samples that a contamination report flagged, None if there is no report.
        permuted: whether each question was to be asked in every rotation of its options. The accuracy is then over all pairs
            of question and rotation, and the interval still over questions.

    Raises:
        ValueError: an item is of another task, an unknown sample, trial or rotation, or is given twice.
        CatalogueError: the user's CWE catalogue cannot be read.
    """
    expected = _Expected.of(loaded, permuted or any(item.permutation for item in items))
    by_trial = _group(loaded, seeds, items, expected)
    complete = {trial: found for trial, found in by_trial.items() if _is_valid(found, expected)}
    trials = list(complete.values()) if expected.samples else []
    result: dict[str, Any] = {
        "task": loaded.task.name,
        "answer_kind": loaded.task.answer_kind,
        "file": loaded.path.name,
        "sha256": loaded.sha256,
        "licence": loaded.task.licence,
        "n": len(expected.samples),
        "left_out": dict(loaded.left_out),
        "rule": rule,
        "unscored": len(loaded.samples) - len(expected.samples),
        "trials": [_trial(trial, seeds[trial], by_trial[trial], expected) for trial in sorted(seeds)],
        "accuracy": _accuracy(trials, expected),
        "parse_rate": mean_over_trials(_parse_rate, trials),
        "metrics": task_metrics(loaded.task.answer_kind, trials, list(expected.samples.values())),
        "sensitivity": [dict(row) for row in sensitivity],
        "contamination": [] if flagged is None else _contamination(trials, expected, flagged),
    }
    if (top_k := _top_k(loaded, trials, expected)) is not None:
        result["top_k"] = top_k
    return result


def valid_trials(
    loaded: LoadedTask, seeds: Mapping[int, int | None], items: Sequence[ScoredItem], *, permuted: bool = False
) -> frozenset[int]:
    """Return the trials that `summarise_task` would call valid; the arguments and errors are the same."""
    expected = _Expected.of(loaded, permuted or any(item.permutation for item in items))
    by_trial = _group(loaded, seeds, items, expected)
    return frozenset(trial for trial, found in by_trial.items() if _is_valid(found, expected))


def sensitivity_table(
    score_with_rule: Callable[[str], Sequence[ScoredItem]],
    rules: Sequence[str],
    default: str,
    *,
    trials: Collection[int] | None = None,
) -> list[dict[str, Any]]:
    """Return what the same completions score under each rule, over all items and over those with an answer.

    Args:
        score_with_rule: returns the items of a task under the rule of that name.
        rules: in the order of the rows.
        default: the rule that the record's accuracy follows.
        trials: which to count (those that are valid); without it, those in which no item failed.
    """
    return [_sensitivity(rule, rule == default, score_with_rule(rule), trials) for rule in rules]


def _sensitivity(rule: str, is_default: bool, items: Sequence[ScoredItem], trials: Collection[int] | None) -> dict[str, Any]:
    if trials is None:
        trials = {item.trial for item in items} - {item.trial for item in items if item.outcome == "failed"}
    counted = Counter(item.outcome for item in items if item.trial in trials and item.target)
    n, parsed = counted.total(), sum(counted[outcome] for outcome in _ANSWERED)
    return {
        "rule": rule,
        "is_default": is_default,
        "accuracy": counted["correct"] / n if n else None,
        "accuracy_of_parsed": counted["correct"] / parsed if parsed else None,
        "parsed": parsed,
        "n": n,
    }


@dataclass(frozen=True, slots=True)
class _Expected:
    """What a complete trial holds: the samples with a gold answer, and every (sample, rotation) of them."""

    samples: Mapping[str, Sample]
    pairs: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, loaded: LoadedTask, permuted: bool) -> _Expected:
        samples = {sample.id: sample for sample in loaded.samples if sample.target}
        return cls(
            samples,
            frozenset(
                (sample.id, rotation)
                for sample in samples.values()
                for rotation in range(max(1, len(sample.choices)) if permuted else 1)
            ),
        )


def _group(
    loaded: LoadedTask, seeds: Mapping[int, int | None], items: Sequence[ScoredItem], expected: _Expected
) -> dict[int, list[ScoredItem]]:
    """Return the items with a gold answer by trial, each trial in one order, whatever the order they came in."""
    unscored = {sample.id for sample in loaded.samples} - set(expected.samples)
    found: dict[int, dict[tuple[str, int], ScoredItem]] = {trial: {} for trial in sorted(seeds)}
    for item in items:
        pair = (item.sample_id, item.permutation)
        if item.task != loaded.task.name:
            raise ValueError(f"an item of task {item.task!r} among those of {loaded.task.name!r}")
        if item.trial not in found:
            raise ValueError(f"{item.sample_id}: trial {item.trial} is none of {sorted(found)}")
        if item.sample_id in unscored:
            continue
        if pair not in expected.pairs:
            raise ValueError(f"{item.sample_id}: no such sample or rotation ({item.permutation}) in {loaded.path}")
        if pair in found[item.trial]:
            raise ValueError(f"{item.sample_id}: given twice in trial {item.trial}, rotation {item.permutation}")
        found[item.trial][pair] = item
    return {trial: [pairs[pair] for pair in sorted(pairs)] for trial, pairs in found.items()}


def _is_valid(items: Sequence[ScoredItem], expected: _Expected) -> bool:
    return len(items) == len(expected.pairs) and all(item.outcome != "failed" for item in items)


def _trial(trial: int, seed: int | None, items: Sequence[ScoredItem], expected: _Expected) -> dict[str, Any]:
    valid = _is_valid(items, expected)
    counts = Counter(item.outcome for item in items)
    return {
        "trial": trial,
        "seed": seed,
        "valid": valid,
        "n": len(items),
        "missing": len(expected.pairs) - len(items),
        "counts": {outcome: counts[outcome] for outcome in _OUTCOMES},
        "accuracy": share(item.outcome == "correct" for item in items) if valid else None,
        "parse_rate": _parse_rate(items) if valid else None,
    }


def _parse_rate(items: Sequence[ScoredItem]) -> float | None:
    return share(item.outcome in _ANSWERED for item in items)


def _accuracy(trials: Trials, expected: _Expected) -> dict[str, Any] | None:
    if not trials:
        return None
    spread = mean_and_deviation([_right(items) / len(items) for items in trials])
    interval = _interval(trials, expected.samples)
    return {
        # Valid trials are of one size, so this is the mean over them, without the rounding of a mean of quotients.
        "mean": sum(map(_right, trials)) / sum(map(len, trials)),
        "std": spread.deviation,
        "trials": len(trials),
        **interval,
        "bootstrap_samples": BOOTSTRAP_SAMPLES,
        "bootstrap_seed": BOOTSTRAP_SEED,
    }


def _right(items: Sequence[ScoredItem]) -> int:
    return sum(item.outcome == "correct" for item in items)


def _interval(trials: Trials, sample_ids: Collection[str]) -> dict[str, float]:
    """Return the interval over samples; each is drawn with all its trials and rotations."""
    right: defaultdict[str, int] = defaultdict(int)
    asked: defaultdict[str, int] = defaultdict(int)
    for item in (item for items in trials for item in items):
        asked[item.sample_id] += 1
        right[item.sample_id] += item.outcome == "correct"
    drawn = sorted(sample_ids)
    interval = bootstrap_interval([right[each] for each in drawn], [asked[each] for each in drawn])
    return {"ci95_low": interval.low, "ci95_high": interval.high}


def _contamination(trials: Trials, expected: _Expected, flagged: AbstractSet[str]) -> list[dict[str, Any]]:
    """Return accuracy on the flagged samples and on the rest; None where there is no such sample or no valid trial."""
    rows: list[dict[str, Any]] = []
    for name, wanted in (("flagged", expected.samples.keys() & flagged), ("rest", expected.samples.keys() - flagged)):
        chosen = [[item for item in items if item.sample_id in wanted] for items in trials]
        row: dict[str, Any] = {"slice": name, "n": len(wanted), "accuracy": None, "ci95_low": None, "ci95_high": None}
        if trials and wanted:
            row["accuracy"] = sum(map(_right, chosen)) / sum(map(len, chosen))
            row |= _interval(chosen, wanted)
        rows.append(row)
    return rows


def _top_k(loaded: LoadedTask, trials: Trials, expected: _Expected) -> dict[str, float] | None:
    """Return the share of items with a right answer among the first k, None unless every answer came with a ranking.

    An item without an answer (a model that abstained) is a miss at every k.
    """
    answered = [item for items in trials for item in items if item.answer is not None]
    if not answered or not all(item.ranked for item in answered):
        return None

    def place(item: ScoredItem) -> float:
        sample = expected.samples[item.sample_id]
        if item.answer is None:
            return math.inf
        hits = (rank for rank, answer in enumerate(item.ranked, 1) if loaded.task.judge(answer, sample).correct)
        return next(hits, math.inf)

    places = [[place(item) for item in items] for items in trials]
    n = sum(map(len, places))
    return {str(k): sum(rank <= k for found in places for rank in found) / n for k in _TOP_K}
