"""Scoring anybody's predictions again, under one rule and under every other, beside what their authors printed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from ctiforge.bench.completion import Completion, Outcome, ScoredItem
from ctiforge.bench.extract import PUBLISHED_RULES, check_rule, rules_for
from ctiforge.bench.predictions import Predictions, PrintedTrial, Shape, TrialPredictions, read_predictions
from ctiforge.bench.score import drop_duplicates, judge_answer, score_completion
from ctiforge.bench.statistics import mean_and_deviation
from ctiforge.bench.task import LoadedTask, Sample, Task

__all__ = ["Agreement", "Rescore", "RescoredTrial", "SensitivityRow", "run_rescore"]


@dataclass(frozen=True, slots=True)
class RescoredTrial:
    """One trial under the rule.

    Attributes:
        valid: every item has a completion.
        n: items, those without a completion too.
        counts: items by outcome.
        accuracy: correct items of `n`.
        parse_rate: items with an answer of `n`.
        value: mean of the task's own measure over the items with an answer (see `ctiforge.bench.task.Judgement`), None if none.
        from_file: items whose text the file holds cut off, so that the answer is the one which its authors read.
    """

    trial: int
    valid: bool
    n: int
    counts: Mapping[Outcome, int]
    accuracy: float
    parse_rate: float
    value: float | None
    from_file: int = 0


@dataclass(frozen=True, slots=True)
class Agreement:
    """One trial beside what the file prints of it.

    Attributes:
        accuracy: ours, None if the file has no items of the trial.
        agrees: both accuracies are the same number of right items; None without items, or where the numbers of items differ.
        answers: items with a printed answer and whole text.
        same_answers: of them, those from which the rule reads that answer.
        differing: ids of some of the others.
    """

    trial: int
    printed_accuracy: float
    accuracy: float | None = None
    agrees: bool | None = None
    answers: int = 0
    same_answers: int = 0
    differing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SensitivityRow:
    """The same completions under one rule, all trials together.

    Attributes:
        accuracy: all items in the denominator (strict: no answer is wrong).
        accuracy_of_parsed: items with an answer in the denominator, None if there are none.
        whole_accuracy, whole_n: as `accuracy`, over the items whose text the file holds whole; None if it cut none off. For
            cut-off items every rule but the authors' own sees part of a text only.
    """

    rule: str
    is_default: bool
    accuracy: float
    accuracy_of_parsed: float | None
    parsed: int
    n: int
    whole_accuracy: float | None = None
    whole_n: int | None = None


@dataclass(frozen=True, slots=True)
class Rescore:
    """What `run_rescore` found.

    Attributes:
        n: items a trial.
        unscored: samples without a target, left out.
        dropped_duplicates: rows left out because they repeat another one; 0 unless asked for.
        accuracy_mean, accuracy_std: over valid trials; the standard deviation is the sample's, None for one trial.
        cut: completions that the file holds cut off, over all trials.
        sensitivity: one row a rule of the task's kind.
        items: what every completion came to under `rule`.
    """

    path: Path
    shape: Shape
    task: str
    rule: str
    n: int
    unscored: int
    dropped_duplicates: int
    trials: Sequence[RescoredTrial]
    accuracy_mean: float | None
    accuracy_std: float | None
    cut: int
    agreement: Sequence[Agreement]
    sensitivity: Sequence[SensitivityRow]
    items: Sequence[ScoredItem] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return everything but `items`, as JSON values."""
        return asdict(replace(self, items=())) | {"path": str(self.path)}


def run_rescore(
    path: str | os.PathLike[str], loaded_task: LoadedTask, rule: str | None = None, *, without_duplicates: bool = False
) -> Rescore:
    """Score the predictions at `path` (see `read_predictions`) with an extraction rule, and with every other for comparison.

    Args:
        rule: None takes the one that the file's authors used where that is known (`PUBLISHED_RULES`), else the task's.
        without_duplicates: leave out repeated rows, as FAITH does (`drop_duplicates`).

    Raises:
        SettingError: the rule is unknown or does not read answers of the task's kind.
        InputError: as `read_predictions`.
    """
    task = loaded_task.task
    if rule is not None:
        check_rule(rule, task.answer_kind)
    predictions = read_predictions(path, loaded_task)
    if rule is None:
        own = PUBLISHED_RULES.get(task.answer_kind) if predictions.shape == "published" else None
        rule = own or task.default_rule
    scored_samples = [sample for sample in loaded_task.samples if sample.target]
    samples, dropped = drop_duplicates(scored_samples) if without_duplicates else (scored_samples, 0)
    scorer = _Scorer(task, {sample.id: sample for sample in samples}, predictions)
    by_trial = [scorer.score(trial, rule) for trial in predictions.trials]
    trials = [scorer.trial(trial, items, rule) for trial, items in zip(predictions.trials, by_trial, strict=True)]
    accuracies = [trial.accuracy for trial in trials if trial.valid]
    spread = mean_and_deviation(accuracies) if accuracies else None
    return Rescore(
        path=predictions.path,
        shape=predictions.shape,
        task=task.name,
        rule=rule,
        n=len(samples),
        unscored=len(loaded_task.samples) - len(scored_samples),
        dropped_duplicates=dropped,
        trials=trials,
        accuracy_mean=spread.mean if spread else None,
        accuracy_std=spread.deviation if spread else None,
        cut=sum(len(scorer.cut(trial)) for trial in predictions.trials),
        agreement=[scorer.agreement(printed, by_trial, rule) for printed in predictions.printed],
        sensitivity=[scorer.sensitivity(each.name, is_default=each.name == rule) for each in rules_for(task.answer_kind)],
        items=[item for items in by_trial for item in items],
    )


@dataclass(frozen=True, slots=True)
class _Scorer:
    """Scores the predictions of those samples that count."""

    task: Task
    samples: Mapping[str, Sample]
    predictions: Predictions

    def cut(self, trial: TrialPredictions) -> frozenset[str]:
        """Return the ids of the samples whose text is cut off, of those that count."""
        return trial.cut & self.samples.keys()

    def taken_from_file(self, trial: TrialPredictions, rule: str) -> frozenset[str]:
        """Return the ids of the samples for which only the file itself knows what its authors' rule read."""
        if self.predictions.shape != "published" or rule != PUBLISHED_RULES.get(self.task.answer_kind):
            return frozenset()
        return self.cut(trial) & trial.printed_answers.keys()

    def score(self, trial: TrialPredictions, rule: str) -> list[ScoredItem]:
        taken = self.taken_from_file(trial, rule)
        return [
            self._printed(completion, trial)
            if completion.sample_id in taken
            else score_completion(completion, self.samples[completion.sample_id], self.task, rule)
            for completion in trial.completions
            if completion.sample_id in self.samples
        ]

    def _printed(self, completion: Completion, trial: TrialPredictions) -> ScoredItem:
        answer = _normal(trial.printed_answers[completion.sample_id])
        return judge_answer(completion, self.samples[completion.sample_id], self.task, answer)

    def trial(self, trial: TrialPredictions, items: Sequence[ScoredItem], rule: str) -> RescoredTrial:
        found = Counter(item.outcome for item in items)
        counts = {outcome: found[outcome] for outcome in get_args(Outcome)}
        values = [item.value for item in items if item.value is not None]
        return RescoredTrial(
            trial=trial.trial,
            valid=not counts["failed"],
            n=len(items),
            counts=counts,
            accuracy=_share(counts["correct"], len(items)) or 0.0,
            parse_rate=_share(counts["correct"] + counts["wrong"], len(items)) or 0.0,
            value=sum(values) / len(values) if values else None,
            from_file=len(self.taken_from_file(trial, rule)),
        )

    def agreement(self, printed: PrintedTrial, by_trial: Sequence[Sequence[ScoredItem]], rule: str) -> Agreement:
        for trial, items in zip(self.predictions.trials, by_trial, strict=True):
            if trial.trial != printed.trial:
                continue
            right = sum(item.outcome == "correct" for item in items)
            readable = trial.printed_answers.keys() - trial.cut
            compared = [item for item in items if item.sample_id in readable]
            differing = [item.sample_id for item in compared if item.answer != _normal(trial.printed_answers[item.sample_id])]
            same_items = printed.n in (None, len(items))
            return Agreement(
                trial=printed.trial,
                printed_accuracy=printed.accuracy,
                accuracy=_share(right, len(items)),
                agrees=abs(right - printed.accuracy * len(items)) < 0.5 if same_items else None,
                answers=len(compared),
                same_answers=len(compared) - len(differing),
                differing=tuple(differing[:10]),
            )
        return Agreement(printed.trial, printed.accuracy)

    def sensitivity(self, rule: str, *, is_default: bool) -> SensitivityRow:
        pairs = [(item, item.sample_id in trial.cut) for trial in self.predictions.trials for item in self.score(trial, rule)]
        right = [is_cut for item, is_cut in pairs if item.outcome == "correct"]
        parsed = sum(item.answer is not None for item, _ in pairs)
        whole = sum(not is_cut for _, is_cut in pairs)
        some_cut = whole < len(pairs)
        return SensitivityRow(
            rule=rule,
            is_default=is_default,
            accuracy=_share(len(right), len(pairs)) or 0.0,
            accuracy_of_parsed=_share(len(right), parsed),
            parsed=parsed,
            n=len(pairs),
            whole_accuracy=_share(right.count(False), whole) if some_cut else None,
            whole_n=whole if some_cut else None,
        )


def _normal(printed: str | None) -> str | None:
    return (printed.strip().upper() or None) if printed else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
