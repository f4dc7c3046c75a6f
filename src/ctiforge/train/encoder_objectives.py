"""What the fitting loop minimises: cross-entropy of soft labels, or masked-language modelling on unlabelled texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ctiforge.models.token_batches import TokenizedTexts, padded
from ctiforge.train.encoder_base import embed, token_states

if TYPE_CHECKING:
    import torch

__all__ = ["Classification", "MaskedLanguage", "Objective", "build_masked_head", "logits_of"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_KEPT, _RANDOM = 0.1, 0.1
"""Of the tokens to predict: those that stay as they are, and those that become any token (Devlin et al. 2019, section 3.1)."""


class Objective(Protocol):
    """A set of texts and a loss over any of them."""

    texts: TokenizedTexts

    def weight(self, rows: Integers) -> float:
        """Return how much these texts weigh together; the loss of a batch is a mean by this weight."""
        ...

    def loss(self, network: torch.nn.ModuleDict, rows: Integers, draw: Sequence[int], device: torch.device) -> torch.Tensor:
        """Return the summed loss of some texts. `draw` seeds what is random in it, apart from dropout."""
        ...


@dataclass(slots=True)
class Classification:
    """Softmax cross-entropy of soft targets.

    Attributes:
        targets: shape (n, K), see `ctiforge.train.encoder_targets`.
        example_weights: shape (n,).
        label_weights: shape (K,), how much each label's part of the loss counts.
        adjustment: shape (K,), added to the scores while learning only.
    """

    texts: TokenizedTexts
    targets: Floats
    example_weights: Floats
    label_weights: Floats
    adjustment: Floats
    pad_id: int

    def weight(self, rows: Integers) -> float:
        """Return the sum of the examples' weights."""
        return float(self.example_weights[rows].sum())

    def loss(self, network: torch.nn.ModuleDict, rows: Integers, draw: Sequence[int], device: torch.device) -> torch.Tensor:
        """Return the weighted cross-entropies, summed."""
        import torch

        scores = logits_of(network, self.texts, rows, self.pad_id, device)
        log_shares = torch.log_softmax(scores + torch.from_numpy(self.adjustment).to(device), dim=1)
        wanted = torch.from_numpy(self.targets[rows] * self.label_weights * self.example_weights[rows, None]).to(device)
        return -(wanted * log_shares).sum()


def logits_of(
    network: torch.nn.ModuleDict, texts: TokenizedTexts, rows: Integers, pad_id: int, device: torch.device
) -> torch.Tensor:
    """Return the scores of some texts: fp32, shape (B, K)."""
    import torch

    ids, mask = (torch.from_numpy(array).to(device) for array in padded(texts, rows, pad_id))
    pooled = network["dropout"](embed(token_states(network, ids, mask), mask))
    scores: torch.Tensor = network["head"](pooled)
    return scores.float()


@dataclass(slots=True)
class MaskedLanguage:
    """Masked-language modelling: predict some tokens of a text from the others. The network needs a ``masked`` part.

    Source: Devlin et al. 2019 (arXiv 1810.04805), section 3.1, task 1; which tokens are hidden changes in every epoch.
    """

    texts: TokenizedTexts
    mask_share: float
    mask_id: int
    special_ids: Integers
    vocabulary: int
    pad_id: int

    def weight(self, rows: Integers) -> float:
        """Return the number of texts."""
        return float(len(rows))

    def loss(self, network: torch.nn.ModuleDict, rows: Integers, draw: Sequence[int], device: torch.device) -> torch.Tensor:
        """Return the mean cross-entropy of the hidden tokens, times the number of texts."""
        import torch

        ids, mask = padded(self.texts, rows, self.pad_id)
        rng = np.random.default_rng(list(draw))
        may = (mask == 1) & ~np.isin(ids, self.special_ids)
        hidden = may & (rng.random(ids.shape) < self.mask_share)
        if not hidden.any():
            hidden = may
        shown = np.where(hidden, self.mask_id, ids)
        fate = rng.random(ids.shape)
        shown = np.where(hidden & (fate < _KEPT), ids, shown)
        anything = rng.integers(0, self.vocabulary, ids.shape)
        shown = np.where(hidden & (fate >= _KEPT) & (fate < _KEPT + _RANDOM), anything, shown)
        states = token_states(network, torch.from_numpy(shown).to(device), torch.from_numpy(mask).to(device))
        # The vocabulary's scores are computed for the hidden tokens only: they are most of the work.
        at = torch.from_numpy(hidden).to(device)
        masked: Any = network["masked"]
        encoder: Any = network["encoder"]
        guess = masked["norm"](torch.nn.functional.gelu(masked["dense"](states[at])))
        scores = torch.nn.functional.linear(guess, encoder.get_input_embeddings().weight) + masked["bias"].weight[:, 0]
        wanted = torch.from_numpy(ids[hidden]).to(device)
        return torch.nn.functional.cross_entropy(scores.float(), wanted) * len(rows)


def build_masked_head(network: torch.nn.ModuleDict, seed: int) -> torch.nn.ModuleDict:
    """Return the new layers that masked-language modelling needs; the word embeddings serve as its last one."""
    import torch

    encoder: Any = network["encoder"]
    vocabulary, size = encoder.get_input_embeddings().weight.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dense = torch.nn.Linear(size, size)
        bias = torch.nn.Embedding(vocabulary, 1)  # one number a token; as an embedding, it is a module with a name
        torch.nn.init.normal_(dense.weight, std=0.02)
        torch.nn.init.zeros_(bias.weight)
    return torch.nn.ModuleDict({"dense": dense, "norm": torch.nn.LayerNorm(size), "bias": bias})
