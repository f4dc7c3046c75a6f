"""What the generation of `transformers` lacks for a batch of different requests: temperature, seed, length and stops by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["RowLimits", "RowSampling"]

_TINY = 1e-30
_MORE_CONTEXT = 4
"""Tokens decoded before the longest possible stop sequence, since the text of a token can depend on those before it."""


class RowSampling:
    """A logits processor that makes greedy search sample, each row at its own temperature with its own generator.

    The token with the highest logit / temperature + Gumbel noise is a draw from the softmax at that temperature (the
    Gumbel-max method: E. J. Gumbel, Statistical Theory of Extreme Values, 1954; C. Maddison et al., A* Sampling, NeurIPS 2014,
    section 2). The noise of a row depends on its seed alone, not on the batch. Rows of temperature 0 stay greedy.

    Args:
        temperatures, seeds: one a row; without a seed, a row's generator starts anywhere.
    """

    def __init__(self, temperatures: Sequence[float], seeds: Sequence[int | None], device: str) -> None:
        import torch

        self._rows: list[tuple[int, float, torch.Generator]] = []
        for row, (temperature, seed) in enumerate(zip(temperatures, seeds, strict=True)):
            if temperature > 0:
                generator = torch.Generator(device=device)
                generator.seed() if seed is None else generator.manual_seed(seed)
                self._rows.append((row, temperature, generator))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, float of shape (rows, vocabulary), with those of sampled rows replaced."""
        import torch

        for row, temperature, generator in self._rows:
            exponential = torch.empty_like(scores[row]).exponential_(generator=generator)
            scores[row] = scores[row] / temperature - exponential.clamp(min=_TINY).log()
        return scores


class RowLimits:
    """A stopping criterion with a limit of new tokens and stop sequences for each row.

    Args:
        prompt_width: columns that are prompt, padding included.
        limits: new tokens at most, one a row.
        stops: stop sequences, one tuple a row.
    """

    def __init__(self, tokenizer: Any, prompt_width: int, limits: Sequence[int], stops: Sequence[Sequence[str]]) -> None:
        self._tokenizer = tokenizer
        self._width = prompt_width
        self._limits = limits
        self._stops = [tuple(filter(None, each)) for each in stops]
        self._tails = [max((len(stop.encode()) for stop in each), default=0) + _MORE_CONTEXT for each in self._stops]
        self._done = [limit <= 0 for limit in limits]

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Return which rows are done, bool of shape (rows,)."""
        import torch

        new = input_ids.shape[1] - self._width
        for row, stops in enumerate(self._stops):
            if self._done[row]:
                continue
            if stops:
                tail = input_ids[row, self._width + max(new - self._tails[row], 0) :]
                text = self._tokenizer.decode(tail.tolist(), skip_special_tokens=True)
                self._done[row] = any(stop in text for stop in stops)
            self._done[row] = self._done[row] or new >= self._limits[row]
        return torch.tensor(self._done, device=input_ids.device)
