"""Scoring labels instead of writing prose: the answer is one of a few hundred labels, so only their tokens are looked at.

The labels' tokens form a trie. What all labels begin with is read together with the prompt, in one pass; from there the trie
is followed level by level. The branches of a prompt are read side by side in its row, under a mask by which each sees the
prompt and itself (tree attention: Miao et al. 2023, arXiv 2305.09781, section 4.2), and a branch that cannot have more than
`floor` of the probability is not followed. At each node the next token's distribution is limited to what the trie has there:
the probability of a label is that of writing it under a grammar that allows the labels alone. Of the model's head only the
rows of the trie's tokens are computed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import SettingError

if TYPE_CHECKING:
    from ctiforge.models.transformers_batch import LoadedModel

__all__ = ["LabelScorer", "LabelTrie"]

_FLOOR = 1e-3
_END = -1
"""Stands for the end of a label in the trie: any token with which the model ends a completion."""
_LEAST_FILLED = 0.8
"""A row shorter than this part of the longest is not padded to it on a CPU."""
_WORTH_SHARING = 16
"""Tokens that all prompts begin with, from which on they are read once."""


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

    def tokens(self) -> set[int]:
        """Return all tokens after the prefix."""
        found: set[int] = set()
        open_nodes = [self.root]
        while open_nodes:
            node = open_nodes.pop()
            found |= node.children.keys() - {_END}
            open_nodes += node.children.values()
        return found


class LabelScorer:
    """Gives every label a probability, for prompts of one model.

    Args:
        floor: a branch whose probability is below it is not followed; its labels share it evenly. 0 follows all.
    """

    def __init__(self, model: LoadedModel, labels: Sequence[str], *, floor: float = _FLOOR) -> None:
        import torch

        self._pad = model.pad_token
        self._device = model.device
        self._trie = LabelTrie([model.tokenizer(label, add_special_tokens=False)["input_ids"] for label in labels])
        self._count = len(labels)
        self._floor = floor
        whole = model.model.get_base_model() if hasattr(model.model, "get_base_model") else model.model
        config = whole.config.get_text_config()
        self._decoder = whole.get_decoder()
        self._softcap: float | None = getattr(config, "final_logit_softcapping", None)
        self._window: int | None = getattr(config, "sliding_window", None)
        self._layer_types = tuple(dict.fromkeys(getattr(config, "layer_types", None) or ()))
        # The head's rows for the tokens in question, and no others: a vocabulary of 262,144 is most of a small model.
        tokens = sorted(self._trie.tokens() | set(model.end_tokens))
        self._row_of = {token: row for row, token in enumerate(tokens)}
        head = whole.get_output_embeddings()
        self._head = head.weight[torch.tensor(tokens, device=head.weight.device)].detach().float()
        self._ends = [self._row_of[token] for token in model.end_tokens]
        self._start: tuple[tuple[int, ...], Any] = ((), None)

    def score(self, prompts: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
        """Return the probabilities of the labels, shape (prompts, K); each row adds up to 1."""
        found = np.zeros((len(prompts), self._count))
        rows = [[*prompt, *self._trie.prefix] for prompt in prompts]
        self._know_start(rows)
        for group in self._groups(rows):
            found[group] = self._score_rows([rows[number] for number in group])
        return found

    def _groups(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """Return the rows' numbers in groups that are read together: a CPU pays for every token of padding, a GPU for calls."""
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        if not self._device.startswith("cpu"):
            return [order]
        groups: list[list[int]] = []
        for number in order:
            if groups and len(rows[number]) * _LEAST_FILLED <= len(rows[groups[-1][0]]):
                groups[-1].append(number)
            else:
                groups.append([number])
        return groups

    def _score_rows(self, rows: Sequence[list[int]]) -> npt.NDArray[np.float64]:
        import torch

        found = np.zeros((len(rows), self._count))
        with torch.inference_mode():
            start, cache = self._common_start(rows)
            width = max(len(row) for row in rows)
            # The padding stands between what all prompts begin with and the rest of each.
            ids = [[self._pad] * (width - len(row)) + row[start:] for row in rows]
            seen = [[1] * start + [0] * (width - len(row)) + [1] * (len(row) - start) for row in rows]
            mask = torch.tensor(seen, device=self._device)
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            states = self._decoder(
                input_ids=torch.tensor(ids, device=self._device),
                attention_mask=mask,
                position_ids=positions[:, start:],
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            reading = _Reading(cache, mask.bool(), positions)
            branches = [_Branch(number, self._trie.root, 1.0, (), ()) for number in range(len(rows))]
            branches = self._step(branches, states[:, -1], found)
            while branches:
                branches, states = self._read(branches, reading)
                branches = self._step(branches, states, found)
        return found

    def _know_start(self, rows: Sequence[Sequence[int]]) -> None:
        """Find what all rows begin with, unless they begin with what was read before.

        The instruction of a task stands before its text, so its tokens are read once and kept for the next call.
        """
        known, _ = self._start
        if len(rows) > 1 and not (known and _begin_with(rows, known)):
            self._start = _shared_start(rows), None

    def _common_start(self, rows: Sequence[Sequence[int]]) -> tuple[int, Any]:
        """Return how many tokens all rows begin with and are read already, and a cache to read on with."""
        import torch
        from transformers import DynamicCache

        known, cache = self._start
        longest = max(len(row) for row in rows)
        beyond = self._window is not None and longest > self._window
        if len(known) < _WORTH_SHARING or beyond or not _begin_with(rows, known):
            return 0, DynamicCache()  # without a config, for it would forget what a sliding window has passed
        if cache is None:
            cache = DynamicCache()
            self._decoder(input_ids=torch.tensor([known], device=self._device), past_key_values=cache, use_cache=True)
            self._start = known, cache
        mine = copy.deepcopy(cache)
        mine.batch_repeat_interleave(len(rows))
        return len(known), mine

    def _read(self, branches: Sequence[_Branch], reading: _Reading) -> tuple[list[_Branch], Any]:
        """Read the unread tokens of all branches; return these and the states after them, shape (branches, hidden size).

        The branches of a prompt stand behind each other, and each sees the prompt and itself only.
        """
        import torch

        rows, kept = reading.prompt.shape
        longest = [0] * rows
        placed: list[tuple[_Branch, int]] = []
        for branch in branches:
            placed.append((branch, longest[branch.number]))
            longest[branch.number] += len(branch.unread)
        width = max(longest)
        ids = torch.full((rows, width), self._pad)
        positions = torch.zeros((rows, width), dtype=torch.long)
        visible = torch.zeros((rows, width, kept + width), dtype=torch.bool)
        visible[:, :, :kept] = reading.prompt.cpu()[:, None]
        visible[:, range(width), range(kept, kept + width)] = True
        depth = reading.prompt.sum(1).tolist()
        following: list[_Branch] = []
        for branch, at in placed:
            own = list(range(kept + at, kept + at + len(branch.unread)))
            for offset, token in enumerate(branch.unread):
                ids[branch.number, at + offset] = token
                positions[branch.number, at + offset] = depth[branch.number] + len(branch.places) + offset
                visible[branch.number, at + offset, [*branch.places, *own[: offset + 1]]] = True
            following.append(_Branch(branch.number, branch.node, branch.probability, (), (*branch.places, *own)))
        positions = positions.to(self._device)
        reading.extend(torch.zeros((rows, width), dtype=torch.bool, device=self._device), positions)
        states = self._decoder(
            input_ids=ids.to(self._device),
            attention_mask=self._masks(visible.to(self._device), positions, reading.positions),
            position_ids=positions,
            past_key_values=reading.cache,
            use_cache=True,
        ).last_hidden_state
        last = torch.tensor([branch.places[-1] - kept for branch in following])
        return following, states[torch.tensor([branch.number for branch in following]), last]

    def _masks(self, visible: Any, positions: Any, all_positions: Any) -> Any:
        """Return attention masks of shape (rows, 1, queries, keys) in the form that the model takes."""
        import torch

        dtype = next(self._decoder.parameters()).dtype

        def additive(seen: Any) -> Any:
            return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)[:, None]

        if not self._layer_types:
            return additive(visible)
        near = visible
        if self._window is not None:
            near = visible & (positions[:, :, None] - all_positions[:, None] < self._window)
        return {kind: additive(near if kind.startswith("sliding") else visible) for kind in self._layer_types}

    def _step(self, branches: Sequence[_Branch], states: Any, found: npt.NDArray[np.float64]) -> list[_Branch]:
        """Share out the probability of each branch among what follows it; return the branches that need another look."""
        logits = (states.float() @ self._head.T).double().cpu().numpy()
        if self._softcap is not None:
            logits = self._softcap * np.tanh(logits / self._softcap)
        ends = np.logaddexp.reduce(logits[:, self._ends], axis=1)
        following: list[_Branch] = []
        for branch, row, end in zip(branches, logits, ends, strict=True):
            tokens = list(branch.node.children)
            scores = np.array([end if token == _END else row[self._row_of[token]] for token in tokens])
            shares = np.exp(scores - scores.max())
            for token, share in zip(tokens, shares / shares.sum() * branch.probability, strict=True):
                self._place(branch, token, float(share), found, following)
        return following

    def _place(
        self, branch: _Branch, token: int, share: float, found: npt.NDArray[np.float64], following: list[_Branch]
    ) -> None:
        """Give a node's share to its only label, or to all of its labels where it is small; else look further."""
        node = branch.node.children[token]
        unread = [token]
        while len(node.children) == 1 and len(node.labels) > 1:  # nothing to decide here
            token, node = next(iter(node.children.items()))
            unread.append(token)
        if len(node.labels) == 1 or share < self._floor:
            found[branch.number, node.labels] += share / len(node.labels)
        else:
            following.append(_Branch(branch.number, node, share, tuple(unread), branch.places))


@dataclass(frozen=True, slots=True)
class _Branch:
    """A place in the trie for one prompt.

    Attributes:
        number: of the prompt.
        unread: tokens on the way here that the model has not read yet.
        places: of the tokens on the way here in the cache.
    """

    number: int
    node: _Node
    probability: float
    unread: tuple[int, ...]
    places: tuple[int, ...]


@dataclass(slots=True)
class _Reading:
    """What was read of a batch: the cache, which of its places are the prompts' (rows, places), and all places' positions."""

    cache: Any
    prompt: Any
    positions: Any

    def extend(self, prompt: Any, positions: Any) -> None:
        """Add places."""
        import torch

        self.prompt = torch.cat([self.prompt, prompt], dim=1)
        self.positions = torch.cat([self.positions, positions], dim=1)


def _begin_with(rows: Sequence[Sequence[int]], start: tuple[int, ...]) -> bool:
    """Say whether all rows begin with these tokens and have at least one more."""
    return all(len(row) > len(start) and tuple(row[: len(start)]) == start for row in rows)


def _shared_start(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the tokens that all rows begin with; every row has at least one more."""
    first, last = min(map(tuple, rows)), max(map(tuple, rows))
    most = min(len(row) for row in rows) - 1
    return first[: next((i for i in range(most) if first[i] != last[i]), most)]
