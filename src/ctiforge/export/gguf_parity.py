"""Whether llama.cpp, given a GGUF file, goes on as transformers does with the folder it was made from."""

from __future__ import annotations

import asyncio
from pathlib import Path

import torch

from ctiforge.export.model_folder import load_model, load_tokenizer
from ctiforge.models.generation import GenerationRequest
from ctiforge.models.llama_cpp import LlamaServerModel

__all__ = ["PARITY_FLOOR", "measure_parity"]

PARITY_FLOOR = 0.75
"""Share of equal characters below which a conversion is refused: one of the texts may part at a tie, not more."""

_PROMPTS = (
    "The CWE of a SQL injection is CWE-",
    "Improper neutralization of input during web page generation is also called cross-site",
    "A buffer overflow happens when a program writes",
    "In Unix, the first user, who may do everything, is called",
)
_TOKENS = 8


def measure_parity(folder: Path, gguf: Path) -> float:
    """Return the share of characters that both write alike, from the start, when each takes its likeliest tokens.

    Raises:
        ModelError: one of them cannot be loaded.
    """
    ours = asyncio.run(_llama_cpp(gguf))
    theirs = _transformers(folder)
    same = sum(_common(one, other) for one, other in zip(ours, theirs, strict=True))
    return same / max(sum(len(each) for each in theirs), 1)


def _common(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


async def _llama_cpp(gguf: Path) -> list[str]:
    model = LlamaServerModel(gguf, context_size=512)
    try:
        replies = [await model.generate(GenerationRequest(prompt=prompt, max_tokens=_TOKENS, seed=1)) for prompt in _PROMPTS]
    finally:
        await model.close()
    return [reply.text for reply in replies]


def _transformers(folder: Path) -> list[str]:
    model, tokenizer = load_model(folder, "fp32"), load_tokenizer(folder)
    texts = []
    for prompt in _PROMPTS:
        tokens = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            made = model.generate(tokens, max_new_tokens=_TOKENS, do_sample=False, attention_mask=torch.ones_like(tokens))
        texts.append(tokenizer.decode(made[0, tokens.shape[1] :], skip_special_tokens=True))
    return texts
