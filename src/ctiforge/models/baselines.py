"""Models that know nothing, to compare others with: the majority answer, one constant answer, a uniform choice."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from ctiforge.core.errors import ModelError, SettingError
from ctiforge.models.generation import Generation, GenerationRequest, ModelInfo

__all__ = ["BaselineModel", "build_constant", "build_majority", "build_uniform", "most_frequent"]


@dataclass(frozen=True, slots=True)
class _Guess:
    """An answer, and the probability that the baseline gives to each answer it may give."""

    answer: str
    probabilities: Mapping[str, float]


class BaselineModel:
    """Answers ``Answer: X``, whatever the text asks. Made by `build_majority`, `build_constant` and `build_uniform`."""

    def __init__(self, name: str, guess: Callable[[GenerationRequest], _Guess], settings: Mapping[str, Any]) -> None:
        self._name = name
        self._guess = guess
        self._settings = settings

    async def info(self) -> ModelInfo:
        """Return the baseline's name and settings."""
        return ModelInfo(self._name, "baseline", settings=self._settings)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer one request.

        Raises:
            ModelError: the task gives nothing to choose among.
        """
        guess = self._guess(request)
        if not request.choices:
            return Generation(f"Answer: {guess.answer}", "stop", confidence=guess.probabilities.get(guess.answer))
        logprobs = {name: math.log(p) for name in request.choices if (p := guess.probabilities.get(name, 0.0)) > 0}
        return Generation(guess.answer, "stop", choice_logprobs=logprobs)

    async def close(self) -> None:
        """Do nothing."""


def most_frequent(counts: Mapping[str, int]) -> str:
    """Return the answer with the highest count; of equals, the first in alphabetical order.

    Raises:
        SettingError: there are no answers.
    """
    if not counts:
        raise SettingError("the majority answer of no answers was asked for", fix="give the answer: baseline:majority=CWE-79")
    return min(counts, key=lambda answer: (-counts[answer], answer))


def build_majority(answers: str | Mapping[str, str] | Mapping[str, Mapping[str, int]]) -> BaselineModel:
    """Return a model that gives the most frequent answer.

    Args:
        answers: the answer; or by name of the task, the answer or the counts of its gold answers. Where there are counts, the
            answer's share of them is the model's confidence.

    Raises:
        SettingError: there is no answer.
    """
    by_task: dict[str, _Guess] = {}
    if isinstance(answers, Mapping):
        for task, given in answers.items():
            counts = {given: 1} if isinstance(given, str) else given
            total = sum(counts.values())
            shares = {answer: count / total for answer, count in counts.items()} if not isinstance(given, str) else {given: 1.0}
            by_task[task] = _Guess(most_frequent(counts), shares)
    elif not answers:
        raise SettingError("the majority baseline has no answer", fix="baseline:majority=CWE-79")

    def guess(request: GenerationRequest) -> _Guess:
        if isinstance(answers, str):
            return _Guess(answers, {answers: 1.0})
        task = str(request.metadata.get("task", ""))
        if task not in by_task:
            raise ModelError(f"the majority baseline has no answer for task {task!r}", fix="give answers by task")
        return by_task[task]

    said = answers if isinstance(answers, str) else {task: each.answer for task, each in by_task.items()}
    return BaselineModel("majority", guess, {"answer": said})


def build_constant(answer: str) -> BaselineModel:
    """Return a model that always gives `answer` (``C`` for always-C).

    Raises:
        SettingError: there is no answer.
    """
    if not answer:
        raise SettingError("the constant baseline has no answer", fix="baseline:constant=C")
    return BaselineModel(f"always-{answer}", lambda _: _Guess(answer, {answer: 1.0}), {"answer": answer})


def build_uniform(labels: Sequence[str] = (), *, seed: int = 0) -> BaselineModel:
    """Return a model that chooses evenly, by `seed`, the request's seed, task, sample and trial: the same on every run.

    Args:
        labels: what to choose among; if empty, the letters of the item's options (``choices`` in the request's metadata).
    """

    def guess(request: GenerationRequest) -> _Guess:
        names = list(labels) or _letters(request)
        key = [request.metadata.get(name, "") for name in ("task", "sample_id", "trial")]
        answer = random.Random("/".join(map(str, (seed, request.seed, *key)))).choice(names)
        return _Guess(answer, dict.fromkeys(names, 1 / len(names)))

    return BaselineModel("uniform", guess, {"labels": list(labels), "seed": seed})


def _letters(request: GenerationRequest) -> list[str]:
    """Return the letters of the item's options, which may be given as letters or as texts.

    Raises:
        ModelError: the item has no options.
    """
    options = list(request.choices or request.metadata.get("choices") or ())
    if not options:
        task = request.metadata.get("task", "the task")
        raise ModelError(f"{task} has no options to choose among", fix="name the labels: baseline:uniform=CWE-79,CWE-89,CWE-20")
    lettered = all(len(option) == 1 and option in ascii_uppercase for option in options)
    return options if lettered else list(ascii_uppercase[: len(options)])
