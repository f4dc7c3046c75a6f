"""An encoder whose upper layers read fewer, coarser states: neighbours are averaged in pairs on the way up.

Source: Dai et al. 2020 (Funnel-Transformer, arXiv 2006.03236), section 2.2, with mean pooling of the states themselves between
layers. A layer over half as many states costs half as much. The last states are repeated, so that every token has one, and
their mean is that of the pairs weighed by their tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ctiforge.core.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["halve_after"]

_UNSEEN = -1e9
"""Added to the attention scores of places that hold no token."""


def halve_after(encoder: torch.nn.Module, layers: Sequence[int]) -> torch.nn.Module:
    """Return a BERT encoder that averages neighbouring states in pairs after so many of its layers, once for each number.

    The names of its weights are the same as before.

    Raises:
        ModelError: it is no BERT, or there is no layer above one of these places.
    """
    import torch

    bert: Any = encoder
    if bert.config.model_type != "bert":
        raise ModelError(f"a {bert.config.model_type} encoder cannot be halved", fix="leave halve_after out of the recipe")
    depth = bert.config.num_hidden_layers
    if list(layers) != sorted(set(layers)) or max(layers) >= depth:
        raise ModelError(
            f"states cannot be halved after {list(layers)} of {depth} layers",
            fix=f"set halve_after in the recipe to numbers from 1 to {depth - 1}, in order, or leave it out",
        )

    class HalvedBert(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = bert.config
            self.embeddings = bert.embeddings
            self.encoder = bert.encoder

        def get_input_embeddings(self) -> Any:
            return self.embeddings.word_embeddings

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            from transformers.modeling_outputs import BaseModelOutput

            states = self.embeddings(input_ids)
            length, held = states.shape[1], attention_mask.to(states.dtype)
            for number, layer in enumerate(self.encoder.layer):
                if number in layers:
                    states, held = _halved(states, held)
                states = layer(states, (1 - held.clamp(max=1)[:, None, None, :]) * _UNSEEN)
            for _ in layers:
                states = states.unsqueeze(2).expand(-1, -1, 2, -1).reshape(states.shape[0], -1, states.shape[2])
            return BaseModelOutput(last_hidden_state=states[:, :length])

    return HalvedBert()


def _halved(states: torch.Tensor, held: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean states of pairs, shape (B, ceil(T / 2), H), and how many tokens each of them holds.

    Args:
        states: shape (B, T, H).
        held: how many tokens each state stands for, shape (B, T); 0 for padding.
    """
    import torch

    texts, pairs = states.shape[0], (states.shape[1] + 1) // 2
    total = states * held.unsqueeze(-1)
    total = torch.cat([total, torch.zeros_like(total[:, :1])], dim=1)[:, : 2 * pairs].reshape(texts, pairs, 2, -1).sum(dim=2)
    tokens = torch.cat([held, torch.zeros_like(held[:, :1])], dim=1)[:, : 2 * pairs].reshape(texts, pairs, 2).sum(dim=2)
    return total / tokens.clamp(min=1).unsqueeze(-1), tokens
