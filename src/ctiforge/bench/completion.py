"""What a run keeps of every item: the completion as it came, and later what was made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Completion", "Outcome", "ScoredItem"]

Outcome = Literal["correct", "wrong", "unparsed", "truncated", "failed"]
"""``unparsed``: no answer could be read from a complete completion; ``truncated``: none, and the completion was cut off at
max_tokens; ``failed``: there is no completion (transport). A cut-off completion that has an answer is correct or wrong."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One line of ``completions.jsonl``.

    Attributes:
        trial: from 0.
        permutation: how many places the options were rotated (``--permute cyclic``), 0 as published. `choices` then holds the
            options as they were shown.
        finish_reason: ``stop``, ``length`` or ``error``.
        error: ``{"kind": ..., "message": ..., "status": ...}`` of a failed request, else None.
        ranked: the answers of a model that ranks, best first.
        choice_logprobs: log-probability by choice, where the protocol asks for them.
        confidence: the model's own probability, 0 to 1, that its answer is right, if it gives one.
    """

    task: str
    sample_id: str
    trial: int
    text: str
    finish_reason: str
    seed: int | None = None
    permutation: int = 0
    attempts: int = 1
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    error: Mapping[str, Any] | None = None
    ranked: tuple[str, ...] = ()
    choice_logprobs: Mapping[str, float] | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ScoredItem:
    """One line of ``scores.jsonl``: a completion under an extraction rule.

    Attributes:
        answer: in normal form and in the terms of the published options (a permutation is undone), None if there is none.
        value: see `ctiforge.bench.task.Judgement`; None where there is no answer.
        ranked, confidence: as in `Completion`.
    """

    task: str
    sample_id: str
    trial: int
    outcome: Outcome
    target: str
    answer: str | None = None
    value: float | None = None
    permutation: int = 0
    ranked: tuple[str, ...] = ()
    confidence: float | None = None
