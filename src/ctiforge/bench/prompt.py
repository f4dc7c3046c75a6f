"""From a sample and a protocol to the request that is sent."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase

from ctiforge.bench.protocol import Protocol
from ctiforge.bench.score import shown_choices
from ctiforge.bench.task import LoadedTask, Sample, Task
from ctiforge.core.errors import InputError
from ctiforge.core.messages import ChatMessage
from ctiforge.models.generation import GenerationRequest

__all__ = ["build_request", "choose_exemplars", "rotate_options"]


def build_request(
    protocol: Protocol, loaded: LoadedTask, sample: Sample, trial: int, permutation: int = 0
) -> GenerationRequest:
    """Return what to ask for one item in one trial.

    Raises:
        InputError: the options cannot be rotated, or there are too few other items for the solved examples.
    """
    shown = rotate_options(sample, permutation)
    letters = tuple(ascii_uppercase[: len(sample.choices)])
    chat = protocol.style != "completion"
    return GenerationRequest(
        messages=(ChatMessage("user", shown.input),) if chat else (),
        prompt=None if chat else _few_shot(protocol, loaded, sample, shown),
        temperature=protocol.temperature,
        max_tokens=protocol.max_tokens,
        seed=protocol.request_seed(sample.id, trial, permutation),
        stop=protocol.stop,
        choices=letters if protocol.style == "choice_logprob" else (),
        metadata={
            "task": loaded.task.name,
            "answer_kind": loaded.task.answer_kind,
            "sample_id": sample.id,
            "trial": trial,
            "input": shown.input,
            "question": sample.question,
            "choices": letters,
            "options": shown.choices,
        },
    )


def _few_shot(protocol: Protocol, loaded: LoadedTask, sample: Sample, shown: Sample) -> str:
    examples = choose_exemplars(loaded, sample, protocol.shots, protocol.seed)
    return "\n\n".join([*(_solved(loaded.task, each) for each in examples), loaded.task.shot(shown).rstrip()])


def _solved(task: Task, sample: Sample) -> str:
    return f"{task.shot(sample).rstrip()} {sample.target}"


def choose_exemplars(loaded: LoadedTask, sample: Sample, shots: int, seed: int) -> Sequence[Sample]:
    """Return `shots` other items with a gold answer, never the item itself or one with its question.

    All items are shuffled once by `seed`, and the first that may be shown are: the same ones for nearly every item, so that a
    server with a prefix cache reads them once.
    """
    shuffled = random.Random(seed).sample(loaded.samples, len(loaded.samples))
    others = [each for each in shuffled if each.target and each.id != sample.id and each.question != sample.question]
    if len(others) < shots:
        raise InputError(
            f"{loaded.path}: {len(others)} other items, but the protocol shows {shots} solved ones",
            fix="take a protocol without examples, or a longer file",
        )
    return others[:shots]


def rotate_options(sample: Sample, permutation: int) -> Sample:
    """Return the sample with its options rotated by `permutation` places in prompt and choices (0: as published).

    Raises:
        InputError: the published options do not stand in the prompt as ``A) ... B) ...``, ``A. ...`` or ``A: ...``.
    """
    if permutation == 0:
        return sample
    rotated = shown_choices(sample.choices, permutation)
    for mark in (")", ".", ":"):
        found = list(_published_options(sample.choices, mark).finditer(sample.input))
        if len(found) == 1:
            at = found[0].start()
            text = sample.input[:at] + _refill(found[0], rotated, mark) + sample.input[found[0].end() :]
            return replace(sample, input=text, choices=rotated)
    raise InputError(
        f"{sample.id}: its options do not stand in its prompt in a form that can be rotated", fix="run without --permute"
    )


def _published_options(choices: Sequence[str], mark: str) -> re.Pattern[str]:
    """Match ``A) first B) second``, whatever the space between and around them (some prompts have more than one)."""
    parts = [f"{letter}{re.escape(mark)}\\s*{re.escape(text)}" for letter, text in zip(ascii_uppercase, choices, strict=False)]
    return re.compile(r"(\s+)".join(parts))


def _refill(published: re.Match[str], choices: Sequence[str], mark: str) -> str:
    parts = [f"{letter}{mark} {text}" for letter, text in zip(ascii_uppercase, choices, strict=False)]
    return "".join(each for pair in zip(parts, [*published.groups(), ""], strict=True) for each in pair)
