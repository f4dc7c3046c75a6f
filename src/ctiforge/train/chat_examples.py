"""Training examples as tokens: the base's chat template around them, and a loss on the completion only.

What is learnt is what the model is asked for later: the prompt is rendered as for generation, and after the completion comes
what the template writes there up to the token that ends a turn. So a template that writes more into a finished conversation
than into a prompt (an empty block of thoughts, say) does no harm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ctiforge.core.errors import ModelError

__all__ = ["IGNORED", "Encoded", "EncodedExamples", "TurnEncoder", "encode_examples", "last_line"]

IGNORED = -100
"""The label of a token that is no part of the loss."""

_MARK = "\N{SNOWMAN}completion\N{SNOWMAN}"
_CUT = " [...] "
_AT_ONCE = 1024
_ENDING_TOKENS = 4
"""Tokens after a completion at most, the end of the turn included; more would be another turn."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example: ``input_ids`` and ``labels`` of the same length, `IGNORED` where there is no loss."""

    id: str
    input_ids: Sequence[int]
    completion_tokens: int

    @property
    def labels(self) -> list[int]:
        """Return the ids of the completion after as many `IGNORED` as the prompt has tokens."""
        prompt = len(self.input_ids) - self.completion_tokens
        return [IGNORED] * prompt + list(self.input_ids[prompt:])


@dataclass(frozen=True, slots=True)
class EncodedExamples:
    """Examples in the order of their records, and how many of these were shortened or left out, by reason."""

    examples: list[Encoded]
    counts: dict[str, int]


class TurnEncoder:
    """Renders prompts with a tokenizer's chat template and knows how it ends a turn.

    Raises:
        ModelError: there is no chat template, or it cannot render a question and its answer.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        if not isinstance(tokenizer.chat_template, str):
            raise ModelError(
                f"{name} has no chat template: it is a base model, or its template was lost",
                fix="take the instruction-tuned base, add chat_template.jinja, or set base.chat_template: gemma in the recipe",
            )
        try:
            whole = self._render([{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}], prompt=False)
            self._render([{"role": "user", "content": "?"}], prompt=True)
        except Exception as error:  # whatever a template raises
            raise ModelError(f"the chat template of {name} cannot be used: {error}", fix="mend chat_template.jinja") from error
        if whole.count(_MARK) != 1:
            fix = "mend chat_template.jinja"
            raise ModelError(f"the chat template of {name} does not show an answer as it is", fix=fix)
        self.ending = self._turn_ending(whole.rpartition(_MARK)[2], name)

    def _render(self, messages: list[dict[str, str]], *, prompt: bool) -> str:
        text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        return text

    def _turn_ending(self, rest: str, name: str) -> list[int]:
        """Return the tokens after a completion up to the first special one, which ends the turn."""
        tokens = self._tokens(rest)
        special = set(self._tokenizer.all_special_ids) | set(self._tokenizer.added_tokens_decoder)
        for count, token in enumerate(tokens[:_ENDING_TOKENS], 1):
            if token in special:
                return tokens[:count]
        fix = "take a template that ends the assistant's turn with a token of its own, or the model would never stop"
        raise ModelError(f"the chat template of {name} writes no special token after an answer ({rest[:40]!r})", fix=fix)

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    def prompt(self, content: str) -> list[int]:
        """Return the tokens of a user's message up to where the model goes on. A template writes all special tokens."""
        return self.prompts([content])[0]

    def prompts(self, contents: Sequence[str]) -> list[list[int]]:
        """Return the tokens of prompts; many at once are many times as fast."""
        texts = [self._render([{"role": "user", "content": content}], prompt=True) for content in contents]
        tokens: list[list[int]] = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        return tokens

    def completions(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of answers and of the ends of their turns."""
        return [tokens + self.ending for tokens in self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def encode_examples(records: Iterable[Mapping[str, str]], encoder: TurnEncoder, max_tokens: int) -> EncodedExamples:
    """Encode records with ``id``, ``prompt`` and ``completion``.

    A prompt that does not fit beside its completion loses its middle (the instruction stands at one end of it); a record
    whose completion takes more than half of the tokens is left out.
    """
    examples: list[Encoded] = []
    counts: Counter[str] = Counter()
    for record, prompt, completion in _tokenized(records, encoder):
        if 2 * len(completion) > max_tokens:
            counts["completion too long, left out"] += 1
            continue
        if len(prompt) + len(completion) > max_tokens:
            prompt = _shortened(record["prompt"], encoder, max_tokens - len(completion))
            counts["prompt shortened"] += 1
        examples.append(Encoded(record["id"], (*prompt, *completion), len(completion)))
    return EncodedExamples(examples, dict(counts))


def _tokenized(
    records: Iterable[Mapping[str, str]], encoder: TurnEncoder
) -> Iterator[tuple[Mapping[str, str], list[int], list[int]]]:
    rest = iter(records)
    while some := list(islice(rest, _AT_ONCE)):
        prompts = encoder.prompts([each["prompt"] for each in some])
        yield from zip(some, prompts, encoder.completions([each["completion"] for each in some]), strict=True)


def last_line(completion: str) -> str:
    """Return the answer alone: the last line that is not empty."""
    lines = [line for line in completion.splitlines() if line.strip()]
    return lines[-1].strip() if lines else completion


def _shortened(text: str, encoder: TurnEncoder, room: int) -> list[int]:
    """Return the tokens of the longest prompt that fits when characters are cut out of its middle (binary search)."""
    low, high = 0, len(text)
    best = encoder.prompt(_CUT)
    while low <= high:
        kept = (low + high) // 2
        head = kept - kept // 2
        tokens = encoder.prompt(text[:head] + _CUT + text[len(text) - kept // 2 :])
        if len(tokens) <= room:
            best, low = tokens, kept + 1
        else:
            high = kept - 1
    return best[:room]
