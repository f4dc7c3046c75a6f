"""Labels ranked by asking for one token after another: the same as reading all tokens of a model at once."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.models.generation import Generation, GenerationError, GenerationRequest
from ctiforge.models.label_requests import lead_of, rank_choices, shared_start

END = "<end>"


class ToyModel:
    """Gives every text a distribution of next tokens, the same each time: characters, pairs of digits, the end."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.asked: list[str] = []

    def next_tokens(self, begun: str) -> dict[str, float]:
        draw = random.Random(f"{self._seed} {begun}")
        tokens = ["C", "W", "E", "-", *"0123456789", "12", "78", END, "\n", "x"]
        weights = [draw.random() ** 4 + 1e-6 for _ in tokens]
        return {token: math.log(weight / sum(weights)) for token, weight in zip(tokens, weights, strict=True)}

    async def __call__(self, begun: str) -> Generation:
        self.asked.append(begun)
        return Generation("", "stop", 7, 1, choice_logprobs=self.next_tokens(begun))


def by_grammar(model: ToyModel, labels: set[str], text: str, lead: str) -> dict[str, float]:
    """Return the probability of each label under a grammar, by walking all of the tree."""
    below = {label for label in labels if label.startswith(text)}
    if len(below) == 1:
        return {below.pop(): 1.0}
    shares: dict[str, float] = {}
    ends = 0.0
    for token, logprob in model.next_tokens(lead + text).items():
        longer = text + token
        if any(label.startswith(longer) for label in below):
            shares[longer] = shares.get(longer, 0.0) + math.exp(logprob)
        elif text in labels:
            ends += math.exp(logprob)
    whole = ends + sum(shares.values())
    found = {text: ends / whole} if ends else {}
    for longer, share in shares.items():
        for label, probability in by_grammar(model, labels, longer, lead).items():
            found[label] = found.get(label, 0.0) + probability * share / whole
    return found


@given(st.integers(0, 10_000), st.sets(st.integers(1, 300), min_size=2, max_size=40))
def test_the_probabilities_are_those_of_writing_a_label_under_a_grammar(seed: int, numbers: set[int]) -> None:
    labels = [f"CWE-{number}" for number in sorted(numbers)]
    model = ToyModel(seed)
    lead = " " if seed % 2 else ""
    reply = asyncio.run(rank_choices(model, labels, lead=lead, floor=0.0))
    assert reply.choice_logprobs is not None
    found = {label: math.exp(logprob) for label, logprob in reply.choice_logprobs.items()}
    assert sum(found.values()) == pytest.approx(1, abs=1e-6)
    if len(model.asked) < 24:  # the tree was walked to its end
        exact = by_grammar(model, set(labels), shared_start(labels), lead)
        assert found == pytest.approx({label: exact.get(label, 0.0) for label in labels}, abs=1e-6)
    assert reply.text == max(found, key=lambda each: found[each])
    assert reply.ranked[0] == reply.text
    assert reply.confidence == pytest.approx(max(found.values()))


def test_little_is_asked_about_what_is_unlikely() -> None:
    class Sure(ToyModel):
        def next_tokens(self, begun: str) -> dict[str, float]:
            wanted = "CWE-787"[len(begun) : len(begun) + 1] if "CWE-787".startswith(begun) and begun != "CWE-787" else END
            return {wanted: math.log(0.99), "2": math.log(0.005), "\n": math.log(0.005)}

    model = Sure(0)
    labels = [f"CWE-{number}" for number in range(1, 1000)]
    reply = asyncio.run(rank_choices(model, labels))
    assert (reply.text, len(reply.ranked)) == ("CWE-787", 10)
    assert model.asked == ["CWE-", "CWE-7", "CWE-78"]
    assert reply.confidence == pytest.approx(0.98, abs=0.01)


def test_a_label_that_ends_with_its_line_counts() -> None:
    async def ask(begun: str) -> Generation:
        return Generation("", "stop", 3, 1, choice_logprobs={"79\n": math.log(0.8), "89": math.log(0.2)})

    reply = asyncio.run(rank_choices(ask, ["CWE-79", "CWE-89", "CWE-891"], floor=0.3))
    assert reply.choice_logprobs is not None
    assert math.exp(reply.choice_logprobs["CWE-79"]) == pytest.approx(0.8)


def test_an_error_is_the_answer() -> None:
    failed = Generation("", "error", error=GenerationError("refused", "the server gives no log-probabilities"))

    async def ask(begun: str) -> Generation:
        return failed

    assert asyncio.run(rank_choices(ask, ["CWE-79", "CWE-89"])) is failed


def test_a_plain_prompt_that_ends_in_a_line_is_gone_on_with_behind_a_space() -> None:
    leads: list[Any] = [lead_of(GenerationRequest(prompt=each)) for each in ("Answer:", "Answer: ", "Answer\n")]
    assert leads == [" ", "", ""]
    assert lead_of(GenerationRequest(messages=())) == ""
