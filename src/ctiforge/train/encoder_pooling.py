"""An encoder whose upper layers read fewer, coarser states: neighbours become one state on the way up.

Source: Dai et al. 2020 (Funnel-Transformer, arXiv 2006.03236), section 2.2, with pooling between layers. What becomes of a
pair is learnt, from its mean on: a mean does not tell which of the two came first. A layer over half as many states costs half
as much. The last states are repeated, so that every token has one, and their mean is that of the pairs weighed by their tokens.
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
    """Return a BERT encoder that makes one state of each pair of neighbours after so many of its layers, once for each number.

    After 0 layers: the embeddings. The names of its weights are the same as before, and ``merges.N`` for each number; at first
    these give the pair's mean.

    Raises:
        ModelError: it is no BERT, or there is no layer above one of these places.
    """
    import torch

    bert: Any = encoder
    if bert.config.model_type != "bert":
        raise ModelError(f"a {bert.config.model_type} encoder cannot be halved", fix="leave halve_after out of the recipe")
    depth, size = bert.config.num_hidden_layers, bert.config.hidden_size
    if list(layers) != sorted(set(layers)) or max(layers) >= depth:
        raise ModelError(
            f"states cannot be halved after {list(layers)} of {depth} layers",
            fix=f"set halve_after in the recipe to numbers from 0 to {depth - 1}, in order, or leave it out",
        )

    class HalvedBert(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = bert.config
            self.embeddings = bert.embeddings
            self.encoder = bert.encoder
            self.merges = torch.nn.ModuleList([_mean_of_two(size) for _ in layers])

        def get_input_embeddings(self) -> Any:
            return self.embeddings.word_embeddings

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            from transformers.modeling_outputs import BaseModelOutput

            states = self.embeddings(input_ids)
            length, held = states.shape[1], attention_mask.to(states.dtype)
            for number, layer in enumerate(self.encoder.layer):
                if number in layers:
                    states, held = _halved(states, held, self.merges[layers.index(number)])
                states = layer(states, (1 - held.clamp(max=1)[:, None, None, :]) * _UNSEEN)
            for _ in layers:
                states = states.unsqueeze(2).expand(-1, -1, 2, -1).reshape(states.shape[0], -1, states.shape[2])
            return BaseModelOutput(last_hidden_state=states[:, :length])

    return HalvedBert()


def _mean_of_two(size: int) -> torch.nn.Linear:
    import torch

    merge = torch.nn.Linear(2 * size, size)
    with torch.no_grad():
        merge.weight.copy_(torch.eye(size).repeat(1, 2) / 2)
        merge.bias.zero_()
    return merge


def _halved(states: torch.Tensor, held: torch.Tensor, merge: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states of pairs, shape (B, ceil(T / 2), H), and how many tokens each of them holds.

    A state without a neighbour stands for both.

    Args:
        states: shape (B, T, H).
        held: how many tokens each state stands for, shape (B, T); 0 for padding.
    """
    import torch

    texts, pairs = states.shape[0], (states.shape[1] + 1) // 2
    both = torch.cat([states, torch.zeros_like(states[:, :1])], dim=1)[:, : 2 * pairs].reshape(texts, pairs, 2, -1)
    tokens = torch.cat([held, torch.zeros_like(held[:, :1])], dim=1)[:, : 2 * pairs].reshape(texts, pairs, 2)
    first, second = both[:, :, 0], both[:, :, 1]
    second = torch.where(tokens[:, :, 1:] > 0, second, first)
    return merge(torch.cat([first, second], dim=2)), tokens.sum(dim=2)
