"""Scoring labels instead of writing prose: the answer is one of a few hundred labels, so only their tokens are looked at.

The labels' tokens form a trie. What all labels begin with is read together with the prompt, in one pass; from there the trie
is followed level by level, with the keys and values of the prompt shared by every branch, and a branch that cannot have more
than `floor` of the probability is not followed. At each node the next token's distribution is limited to what the trie has
there: the probability of a label is that of writing it under a grammar that allows the labels alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import SettingError

if TYPE_CHECKING:
    from ctiforge.models.transformers_batch import LoadedModel

__all__ = ["LabelScorer", "LabelTrie"]

_FLOOR = 1e-3
_ROWS = 64
_END = -1
"""Stands for the end of a label in the trie: any token with which the model ends a completion."""


@dataclass(slots=True)
class _Node:
    """A place in the trie.

    Attributes:
        labels: numbers of the labels below.
    """

    labels: list[int]
    children: dict[int, _Node] = field(default_factory=dict)


class LabelTrie:
    """The tokens of K labels.

    Attributes:
        prefix: what all labels begin with.
        root: the place after it.
    """

    def __init__(self, tokens: Sequence[Sequence[int]]) -> None:
        rows = [(*each, _END) for each in tokens]
        if not rows or any(len(each) < 2 for each in rows) or len(set(rows)) < len(rows):
            raise SettingError("labels must be different texts with at least one token each", fix="give each label once")
        shared = 0
        while all(len(row) > shared + 1 and row[shared] == rows[0][shared] for row in rows):
            shared += 1
        self.prefix = list(rows[0][:shared])
        self.root = _Node([])
        for number, row in enumerate(rows):
            node = self.root
            node.labels.append(number)
            for token in row[shared:]:
                node = node.children.setdefault(token, _Node([]))
                node.labels.append(number)


class LabelScorer:
    """Gives every label a probability, for prompts of one model.

    Args:
        floor: a branch whose probability is below it is not followed; its labels share it evenly. 0 follows all.
    """

    def __init__(self, model: LoadedModel, labels: Sequence[str], *, floor: float = _FLOOR) -> None:
        self._model = model
        self._trie = LabelTrie([model.tokenizer(label, add_special_tokens=False)["input_ids"] for label in labels])
        self._count = len(labels)
        self._floor = floor

    def score(self, prompts: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
        """Return the probabilities of the labels, shape (prompts, K); each row adds up to 1."""
        import torch

        found = np.zeros((len(prompts), self._count))
        rows = [[*prompt, *self._trie.prefix] for prompt in prompts]
        width = max(len(row) for row in rows)
        ids = torch.tensor([[self._model.pad_token] * (width - len(row)) + row for row in rows], device=self._model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self._model.device)
        with torch.inference_mode():
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            out = self._model.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1
            )
            frontier = self._step(
                [(number, self._trie.root, 1.0, ()) for number in range(len(prompts))], out.logits[:, -1], found
            )
            while frontier:
                following: list[_Branch] = []
                for some in _groups(frontier):
                    following += self._step(some, self._next_logits(some, out.past_key_values, mask), found)
                frontier = following
        return found

    def _next_logits(self, branches: Sequence[_Branch], cache: Any, mask: Any) -> Any:
        """Return the logits after each branch's tokens, shape (branches, vocabulary). The cache itself stays as it is."""
        import torch

        rows = torch.tensor([number for number, _, _, _ in branches], device=mask.device)
        mine = copy.deepcopy(cache)
        mine.batch_select_indices(rows)
        tokens = torch.tensor([list(path) for _, _, _, path in branches], device=mask.device)
        whole = torch.cat([mask[rows], torch.ones_like(tokens)], dim=1)
        positions = (whole.cumsum(-1) - 1)[:, mask.shape[1] :]
        out = self._model.model(
            input_ids=tokens,
            attention_mask=whole,
            position_ids=positions,
            past_key_values=mine,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1]

    def _step(self, branches: Sequence[_Branch], logits: Any, found: npt.NDArray[np.float64]) -> list[_Branch]:
        """Share out the probability of each branch among what follows it; return the branches that need another look."""
        import torch

        following: list[_Branch] = []
        for (number, node, probability, path), row in zip(branches, logits.float(), strict=True):
            tokens = list(node.children)
            scores = torch.stack([self._score_of(row, token) for token in tokens])
            shares = torch.softmax(scores, 0).double().cpu().numpy() * probability
            for token, share in zip(tokens, shares, strict=True):
                self._place(number, node.children[token], float(share), path, token, found, following)
        return following

    def _score_of(self, row: Any, token: int) -> Any:
        import torch

        return torch.logsumexp(row[list(self._model.end_tokens)], 0) if token == _END else row[token]

    def _place(
        self,
        number: int,
        node: _Node,
        share: float,
        path: tuple[int, ...],
        token: int,
        found: npt.NDArray[np.float64],
        following: list[_Branch],
    ) -> None:
        """Give a node's share to its only label, or to all of its labels where it is small; else look further."""
        path = (*path, token)
        while len(node.children) == 1 and len(node.labels) > 1:  # nothing to decide here
            token, node = next(iter(node.children.items()))
            path = (*path, token)
        if len(node.labels) == 1 or share < self._floor:
            found[number, node.labels] += share / len(node.labels)
        else:
            following.append((number, node, share, path))


def _groups(branches: Sequence[_Branch]) -> Iterator[Sequence[_Branch]]:
    """Return branches with as many tokens as each other, not too many at once."""
    for _, same in groupby(sorted(branches, key=lambda branch: len(branch[3])), key=lambda branch: len(branch[3])):
        rest = list(same)
        for start in range(0, len(rest), _ROWS):
            yield rest[start : start + _ROWS]


_Branch = tuple[int, _Node, float, tuple[int, ...]]
"""Which prompt, the place in the trie, its probability, and the tokens since the shared prefix."""
