"""Token sequences in batches of like length: a batch is as long as its longest text, so that little is computed on padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["TokenizedTexts", "padded", "sorted_batches", "tokenize_texts"]

Integers = npt.NDArray[np.int64]

_ALIGN = 8


@dataclass(frozen=True, slots=True)
class TokenizedTexts:
    """The token IDs of n texts, one array each, special tokens included, cut at the recipe's length."""

    ids: list[npt.NDArray[np.int32]]

    @property
    def lengths(self) -> Integers:
        """Return the n lengths in tokens."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


def tokenize_texts(tokenizer: Tokenizer, texts: Sequence[str], block: int = 4096) -> TokenizedTexts:
    """Tokenize texts; the tokenizer cuts them."""
    found: list[npt.NDArray[np.int32]] = []
    for start in range(0, len(texts), block):
        encoded = tokenizer.encode_batch(list(texts[start : start + block]))
        found += [np.array(each.ids, dtype=np.int32) for each in encoded]
    return TokenizedTexts(found)


def sorted_batches(lengths: Integers, batch_size: int) -> list[Integers]:
    """Return batches of like length in a fixed order, for scoring."""
    order = np.argsort(lengths, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def padded(texts: TokenizedTexts, rows: Sequence[int] | Integers, pad_id: int) -> tuple[Any, Any]:
    """Return int64 arrays ``input_ids`` and ``attention_mask`` of shape (B, T), T a multiple of 8."""
    chosen = [texts.ids[i] for i in rows]
    longest = max(len(ids) for ids in chosen)
    width = -(-longest // _ALIGN) * _ALIGN
    ids = np.full((len(chosen), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(chosen), width), dtype=np.int64)
    for row, each in enumerate(chosen):
        ids[row, : len(each)] = each
        mask[row, : len(each)] = 1
    return ids, mask
