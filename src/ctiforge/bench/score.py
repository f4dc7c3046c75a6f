"""Scoring one completion, and the two things that decide what an item is: rotated options and duplicate rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import NamedTuple

from ctiforge.bench.completion import Completion, Outcome, ScoredItem
from ctiforge.bench.extract import check_rule, extract_answer
from ctiforge.bench.task import Sample, Task

__all__ = ["Deduplicated", "drop_duplicates", "judge_answer", "published_letter", "score_completion", "shown_choices"]


class Deduplicated(NamedTuple):
    """The samples that stay, in order, and how many went."""

    kept: list[Sample]
    n_dropped: int


def shown_choices(choices: Sequence[str], r: int) -> tuple[str, ...]:
    """Return the options as they are shown when rotated by `r` places: position i holds published option (i + r) mod n."""
    n = len(choices)
    return tuple(choices[(i + r) % n] for i in range(n))


def published_letter(letter: str, r: int, n: int) -> str:
    """Return the published letter of the option that was shown as `letter` among `n` options rotated by `r` places.

    Raises:
        ValueError: `letter` is not one of the first `n` capital letters.
    """
    return ascii_uppercase[(ascii_uppercase.index(letter, 0, n) + r) % n]


def drop_duplicates(samples: Iterable[Sample]) -> Deduplicated:
    """Return `samples` without rows whose question and target an earlier row had; the first one stays.

    Questions are compared without case and amount of space (the `input` where a sample has no question), with their options.
    This is the definition that leaves 990 of CTI-RCM's 1,000 rows, the n of Cisco's FAITH: 12 rows repeat a text, but two of
    them have another label than the rows before, and stay.
    """
    kept: dict[tuple[str, ...], Sample] = {}
    total = 0
    for sample in samples:
        total += 1
        question = " ".join((sample.question or sample.input).casefold().split())
        kept.setdefault((question, sample.target, *sample.choices), sample)
    return Deduplicated(list(kept.values()), total - len(kept))


def score_completion(completion: Completion, sample: Sample, task: Task, rule: str) -> ScoredItem:
    """Return what `completion` is worth as an answer to `sample` (as published) under an extraction rule.

    A model that ranks answers with its first, log-probabilities of options with the likeliest; for them the rule does not
    matter. Where options were rotated, letters are turned back into published ones, those in `ScoredItem.ranked` too.

    Raises:
        SettingError: the rule is unknown or does not read answers of the task's kind.
    """
    check_rule(rule, task.answer_kind)
    n = len(sample.choices)
    if task.answer_kind == "choice" and completion.permutation and n:
        turn = completion.permutation
        shown = replace(sample, choices=shown_choices(sample.choices, turn))
        ranked = tuple(published_letter(each, turn, n) for each in completion.ranked if _is_letter(each, n))
        completion = replace(completion, ranked=ranked)
    else:
        turn, shown = 0, sample
    if completion.ranked:
        return judge_answer(completion, sample, task, completion.ranked[0])
    answer = _likeliest(completion.choice_logprobs) if completion.choice_logprobs else None
    if answer is None:
        answer = extract_answer(rule, task.answer_kind, completion.text, shown)
    if answer is not None and turn:
        answer = published_letter(answer, turn, n) if _is_letter(answer, n) else None
    return judge_answer(completion, sample, task, answer)


def judge_answer(completion: Completion, sample: Sample, task: Task, answer: str | None) -> ScoredItem:
    """Return the scored item for an answer that was read from `completion` already, in published terms; None if there is none.

    A completion that failed is ``failed``, whatever the answer. Samples without a target cannot be scored: leave them out.
    """
    outcome: Outcome
    value: float | None = None
    if completion.error is not None or completion.finish_reason == "error":
        outcome, answer = "failed", None
    elif answer is None:
        outcome = "truncated" if completion.finish_reason == "length" else "unparsed"
    else:
        judgement = task.judge(answer, sample)
        outcome, value = "correct" if judgement.correct else "wrong", judgement.value
    return ScoredItem(
        task=completion.task,
        sample_id=completion.sample_id,
        trial=completion.trial,
        outcome=outcome,
        target=sample.target,
        answer=answer,
        value=value,
        permutation=completion.permutation,
        ranked=completion.ranked,
        confidence=completion.confidence,
    )


def _is_letter(text: str, n: int) -> bool:
    return len(text) == 1 and text in ascii_uppercase[:n]


def _likeliest(logprobs: Mapping[str, float]) -> str | None:
    """Return the option with the highest log-probability, the first letter of several; None where none is a number."""
    known = {choice.strip(): value for choice, value in logprobs.items() if not math.isnan(value)}
    return min(known, key=lambda choice: (-known[choice], choice), default=None)
