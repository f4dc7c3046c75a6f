"""A batch of requests through a causal language model: seeded sampling and stop sequences row by row, scores of choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctiforge.core.errors import ModelError, SettingError
from ctiforge.models.adapters import attach_adapter
from ctiforge.models.generation import Generation, GenerationError, GenerationRequest
from ctiforge.models.label_requests import FEW_CHOICES

if TYPE_CHECKING:
    import torch

    from ctiforge.models.label_scoring import LabelScorer

__all__ = ["LoadedModel", "answer_batch"]

Tokens = list[int]
_RANKED = 10
_LEAST = 1e-12


@dataclass(slots=True)
class LoadedModel:
    """A model and its tokenizer in memory.

    Attributes:
        end_tokens: ids that end a completion.
        context_size: positions of a prompt with its completion at most, None if the model does not say.
        scorer: the labels that were scored last, and what scores them.
        attention: ``sdpa``, or what the model can do instead.
    """

    model: Any
    tokenizer: Any
    device: str
    dtype: str
    attention: str
    end_tokens: tuple[int, ...]
    pad_token: int
    context_size: int | None
    chat_template: str
    scorer: tuple[tuple[str, ...], LabelScorer] | None = None

    @classmethod
    def load(cls, path: Path, adapter: Path | None, *, dtype: str, device: str) -> LoadedModel:
        """Load from folders, never from a network, without running code from them.

        Raises:
            ModelError: the files do not make a model that transformers knows.
            SettingError: there is no such device.
        """
        from safetensors import SafetensorError
        from transformers import AutoTokenizer, GenerationConfig
        from transformers.utils import logging as progress

        progress.disable_progress_bar()  # type: ignore[no-untyped-call]
        device = _device(device)
        chosen = _dtype(dtype, device)
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False, padding_side="left")
            model, attention = _weights(path, chosen)
            if adapter is not None:
                model = attach_adapter(model, adapter)
            model = model.to(device).eval()
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
            first = str(error).strip().partition("\n")[0]
            folders = f"{path} with {adapter}" if adapter is not None else str(path)
            raise ModelError(f"transformers cannot load {folders}: {first}", fix="check that the folder is complete") from error
        if not isinstance(tokenizer.chat_template, str | type(None)):
            raise ModelError(f"{path} has several chat templates", fix="keep the one to use in chat_template.jinja")
        end_tokens = _end_tokens(model, tokenizer)
        # Else the model's own settings creep in where a request says nothing.
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        pad = tokenizer.pad_token_id
        return cls(
            model=model,
            tokenizer=tokenizer,
            device=device,
            dtype=str(chosen).removeprefix("torch."),
            attention=attention,
            end_tokens=end_tokens,
            pad_token=pad if isinstance(pad, int) else (end_tokens[0] if end_tokens else 0),
            context_size=getattr(model.config.get_text_config(), "max_position_embeddings", None),
            chat_template=tokenizer.chat_template or "",
        )

    def prompt_tokens(self, request: GenerationRequest) -> Tokens:
        """Return the ids of a request's prompt. A chat template writes the special tokens; a plain prompt gets its own."""
        if request.prompt is not None:
            plain: Tokens = self.tokenizer(request.prompt)["input_ids"]
            return plain or [self.pad_token]
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        tokens: Tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    def free(self) -> None:
        """Give the memory back."""
        self.model = None
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()


def _weights(path: Path, dtype: torch.dtype) -> tuple[Any, str]:
    from transformers import AutoModelForCausalLM

    options = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True, "dtype": dtype}
    try:
        return AutoModelForCausalLM.from_pretrained(path, attn_implementation="sdpa", **options), "sdpa"
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error) and "sdpa" not in str(error):
            raise
        return AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager", **options), "eager"


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).partition("\n")[0]
        raise SettingError(f"device {device!r} cannot be used: {first}", fix="choose cpu, or leave it out") from None
    return device


def _dtype(dtype: str, device: str) -> torch.dtype:
    import torch

    if dtype == "auto":
        return torch.bfloat16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if dtype == "bf16" else torch.float32


def _end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return what the model's generation settings and its tokenizer call the end; chat models often have two."""
    given = getattr(model.generation_config, "eos_token_id", None)
    ends = given if isinstance(given, list) else [given]
    return tuple(dict.fromkeys(end for end in (*ends, tokenizer.eos_token_id) if isinstance(end, int)))


def answer_batch(model: LoadedModel, requests: Sequence[GenerationRequest]) -> list[Generation]:
    """Return the answers in order. Prompts too long for the model are refused one by one; the others share batches.

    Raises:
        ModelError: memory does not suffice for a single request.
    """
    replies: dict[int, Generation] = {}
    scored: list[tuple[int, Tokens]] = []
    generated: list[tuple[int, Tokens]] = []
    for number, request in enumerate(requests):
        prompt = model.prompt_tokens(request)
        if model.context_size is not None and len(prompt) >= model.context_size:
            message = f"the prompt has {len(prompt)} tokens, the model takes {model.context_size} with the completion"
            replies[number] = Generation("", "error", len(prompt), error=GenerationError("refused", message))
        else:
            (scored if request.choices else generated).append((number, prompt))
    for group, answer in ((scored, _score), (generated, _generate)):
        numbers = [number for number, _ in group]
        prompts = [prompt for _, prompt in group]
        answers = _halving(model, [requests[number] for number in numbers], prompts, answer)
        replies |= dict(zip(numbers, answers, strict=True))
    return [replies[number] for number in range(len(requests))]


def _halving(model: LoadedModel, requests: list[GenerationRequest], prompts: list[Tokens], answer: Any) -> list[Generation]:
    """Answer all at once; where memory does not suffice, in halves."""
    import torch

    if not requests:
        return []
    try:
        answers: list[Generation] = answer(model, requests, prompts)
        return answers
    except torch.OutOfMemoryError as error:
        if len(requests) == 1:
            fix = "use a smaller model, a shorter prompt, or dtype bf16"
            raise ModelError(f"memory does not suffice for one prompt of {len(prompts[0])} tokens: {error}", fix=fix) from None
    middle = len(requests) // 2
    return _halving(model, requests[:middle], prompts[:middle], answer) + _halving(
        model, requests[middle:], prompts[middle:], answer
    )


def _padded(model: LoadedModel, rows: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and attention mask, both int64 of shape (rows, longest row), padded on the left."""
    import torch

    width = max(len(row) for row in rows)
    ids = [[model.pad_token] * (width - len(row)) + row for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=model.device), torch.tensor(mask, device=model.device)


def _generate(model: LoadedModel, requests: Sequence[GenerationRequest], prompts: Sequence[Tokens]) -> list[Generation]:
    import torch
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    from ctiforge.models.transformers_rows import RowLimits, RowSampling

    ids, mask = _padded(model, prompts)
    width = ids.shape[1]
    room = [request.max_tokens for request in requests]
    if model.context_size is not None:
        room = [min(most, model.context_size - len(prompt)) for most, prompt in zip(room, prompts, strict=True)]
    stops = [request.stop for request in requests]
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max(room),
        do_sample=False,
        eos_token_id=list(model.end_tokens) or None,
        pad_token_id=model.pad_token,
    )
    limits = RowLimits(model.tokenizer, width, room, stops)
    sampling = RowSampling([request.temperature for request in requests], [request.seed for request in requests], model.device)
    with torch.inference_mode():
        output = model.model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=LogitsProcessorList([sampling]),
            stopping_criteria=StoppingCriteriaList([limits]),
        )
    rows = output[:, width:].tolist()
    return [
        _completion(model, row[:most], request, len(prompt))
        for row, most, request, prompt in zip(rows, room, requests, prompts, strict=True)
    ]


def _completion(model: LoadedModel, row: Tokens, request: GenerationRequest, prompt_tokens: int) -> Generation:
    """Return the text of a row of new tokens, up to the first end token or stop sequence."""
    end = next((place for place, token in enumerate(row) if token in model.end_tokens), None)
    tokens = row if end is None else row[:end]
    text: str = model.tokenizer.decode(tokens, skip_special_tokens=True)
    places = [place for stop in request.stop if stop and (place := text.find(stop)) >= 0]
    stopped = bool(places) or end is not None
    if places:
        text = text[: min(places)]
    count = len(tokens) + (end is not None)
    if places:  # the row went on with padding, or with the rest of other rows' time
        count = _tokens_up_to(model, tokens, request.stop)
    return Generation(text, "stop" if stopped else "length", prompt_tokens, count)


def _tokens_up_to(model: LoadedModel, tokens: Tokens, stops: Sequence[str]) -> int:
    """Return how many tokens were generated when the first stop sequence was complete."""
    low, high = 1, len(tokens)
    while low < high:
        middle = (low + high) // 2
        text = model.tokenizer.decode(tokens[:middle], skip_special_tokens=True)
        if any(stop in text for stop in stops if stop):
            high = middle
        else:
            low = middle + 1
    return low


def _score(model: LoadedModel, requests: Sequence[GenerationRequest], prompts: Sequence[Tokens]) -> list[Generation]:
    """Return for each choice the log-probability of its tokens after the prompt.

    A choice is scored as it is and with a space before it, which are different tokens for most models; the probabilities of
    the two add up, as they do for servers that give the likeliest tokens.
    """
    if all(len(request.choices) > FEW_CHOICES and request.choices == requests[0].choices for request in requests):
        return _score_labels(model, requests[0].choices, prompts)
    spellings = [[_spellings(model, choice) for choice in request.choices] for request in requests]
    # One row for a prompt and all but the last token of a spelling: single tokens share the prompt's own row.
    wanted = {
        (number, tuple(tokens[:-1]))
        for number, choices in enumerate(spellings)
        for each in choices
        for tokens in each
    }  # fmt: skip
    order = sorted(wanted)
    rows = [prompts[number] + list(head) for number, head in order]
    scores = _row_logprobs(model, rows, max(len(head) for _, head in order) + 1)
    place = {key: row for row, key in enumerate(order)}

    def logprob(number: int, tokens: Tokens) -> float:
        row = scores[place[number, tuple(tokens[:-1])]]
        return sum(float(row[len(row) - len(tokens) + step, token]) for step, token in enumerate(tokens))

    replies = []
    for number, (request, choices) in enumerate(zip(requests, spellings, strict=True)):
        pairs = zip(request.choices, choices, strict=True)
        found = {choice: _log_sum([logprob(number, tokens) for tokens in each]) for choice, each in pairs if each}
        best = max(found, key=found.__getitem__, default="")
        replies.append(Generation(best, "stop", len(prompts[number]), 0, choice_logprobs=found))
    return replies


def _score_labels(model: LoadedModel, labels: Sequence[str], prompts: Sequence[Tokens]) -> list[Generation]:
    """Return the log-probability of each label among all; see `ctiforge.models.label_scoring`."""
    from ctiforge.models.label_scoring import LabelScorer

    replies = []
    if model.scorer is None or model.scorer[0] != tuple(labels):
        model.scorer = tuple(labels), LabelScorer(model, labels)
    for prompt, row in zip(prompts, model.scorer[1].score(prompts), strict=True):
        found = {label: math.log(max(float(p), _LEAST)) for label, p in zip(labels, row, strict=True)}
        order = sorted(found, key=found.__getitem__, reverse=True)
        best = Generation(order[0], "stop", len(prompt), 0, choice_logprobs=found, confidence=math.exp(found[order[0]]))
        replies.append(replace(best, ranked=tuple(order[:_RANKED])))
    return replies


def _spellings(model: LoadedModel, choice: str) -> list[Tokens]:
    """Return the ways to write a choice as tokens: as it is and after a space, without repetition."""
    found: list[Tokens] = []
    for text in (choice, f" {choice}"):
        tokens: Tokens = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        if tokens and tokens not in found:
            found.append(tokens)
    return found


def _row_logprobs(model: LoadedModel, rows: Sequence[Tokens], last: int) -> torch.Tensor:
    """Return float32 log-probabilities of the next token at the last `last` places, of shape (rows, last, vocabulary)."""
    import torch

    ids, mask = _padded(model, rows)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        output = model.model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=last, use_cache=False)
        return torch.log_softmax(output.logits[:, -last:].float(), dim=-1).cpu()


def _log_sum(values: Sequence[float]) -> float:
    high = max(values)
    return high if high == -math.inf else min(high + math.log(sum(math.exp(value - high) for value in values)), 0.0)
