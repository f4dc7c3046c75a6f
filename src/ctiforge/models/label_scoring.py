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
_NONE = -2
_WORTH_SHARING = 16
"""Tokens that all prompts begin with, from which on they are read once."""
_ROOM = 32
"""Tokens of a label at most, to be on the safe side of an attention window."""


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
        self._window: int | None = getattr(model.model.config.get_text_config(), "sliding_window", None)
        self._start: tuple[tuple[int, ...], Any] = ((), None)

    def score(self, prompts: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
        """Return the probabilities of the labels, shape (prompts, K); each row adds up to 1."""
        import torch

        found = np.zeros((len(prompts), self._count))
        rows = [[*prompt, *self._trie.prefix] for prompt in prompts]
        with torch.inference_mode():
            start, cache = self._common_start(rows)
            width = max(len(row) for row in rows)
            # The padding stands between what all prompts begin with and the rest of each.
            ids = [[self._model.pad_token] * (width - len(row)) + row[start:] for row in rows]
            seen = [[1] * start + [0] * (width - len(row)) + [1] * (len(row) - start) for row in rows]
            mask = torch.tensor(seen, device=self._model.device)
            out = self._model.model(
                input_ids=torch.tensor(ids, device=self._model.device),
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1).clamp(min=0)[:, start:],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
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

    def _common_start(self, rows: Sequence[Sequence[int]]) -> tuple[int, Any]:
        """Return how many tokens all rows begin with, and a cache of theirs for each row; (0, None) where it is not worth it.

        The instruction of a task stands before its text, so the tokens are read once and kept for the next call.
        """
        import torch

        known, cache = self._start
        if not known or any(len(row) <= len(known) or tuple(row[: len(known)]) != known for row in rows):
            known = _shared_start(rows)
            cache = None
        longest = max(len(row) for row in rows)
        if len(rows) < 2 or len(known) < _WORTH_SHARING or (self._window is not None and longest + _ROOM > self._window):
            return 0, None
        if cache is None:
            ids = torch.tensor([known], device=self._model.device)
            cache = self._model.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
            self._start = known, cache
        mine = copy.deepcopy(cache)
        mine.batch_repeat_interleave(len(rows))
        return len(known), mine

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

        nexts = [list(node.children) for _, node, _, _ in branches]
        width = max(len(tokens) for tokens in nexts)
        wanted = torch.tensor([[*tokens, *[_NONE] * (width - len(tokens))] for tokens in nexts], device=logits.device)
        logits = logits.float()
        ends = torch.logsumexp(logits[:, list(self._model.end_tokens)], 1, keepdim=True)
        scores = torch.where(wanted == _END, ends, logits.gather(1, wanted.clamp(min=0)))
        shares = torch.softmax(scores.masked_fill(wanted == _NONE, -torch.inf), 1).double().cpu().numpy()
        following: list[_Branch] = []
        for (number, node, probability, path), tokens, row in zip(branches, nexts, shares, strict=True):
            for token, share in zip(tokens, row[: len(tokens)] * probability, strict=True):
                self._place(number, node.children[token], float(share), path, token, found, following)
        return following

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


def _shared_start(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the tokens that all rows begin with; every row has at least one more."""
    first, last = min(map(tuple, rows)), max(map(tuple, rows))
    most = min(len(row) for row in rows) - 1
    return first[: next((i for i in range(most) if first[i] != last[i]), most)]


def _groups(branches: Sequence[_Branch]) -> Iterator[Sequence[_Branch]]:
    """Return branches with as many tokens as each other, not too many at once."""
    for _, same in groupby(sorted(branches, key=lambda branch: len(branch[3])), key=lambda branch: len(branch[3])):
        rest = list(same)
        for start in range(0, len(rest), _ROWS):
            yield rest[start : start + _ROWS]


_Branch = tuple[int, _Node, float, tuple[int, ...]]
"""Which prompt, the place in the trie, its probability, and the tokens since the shared prefix."""
