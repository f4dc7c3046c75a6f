"""Ranking many labels with a server that completes texts: llama.cpp's, in process or not, and vLLM's.

The labels' texts form a tree. A server is asked what comes next after the text at a node, one token with its likeliest
alternatives, and each node shares its probability among those that lead on to labels, as a grammar that allows the labels
alone would. The likeliest node is looked at first, nodes below a floor are not, and what all labels begin with is given. The
server's cache of prompts makes every question but the first one cheap. Token by token, whatever the tokenizer is: `79` may be
one token or two. For models in this process see `ctiforge.models.label_scoring`.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ctiforge.models.generation import Generation, GenerationRequest

__all__ = ["FEW_CHOICES", "lead_of", "rank_choices", "shared_start"]

FEW_CHOICES: Final = 26
"""More choices than letters are labels."""

_FLOOR: Final = 0.01
_MOST: Final = 24
_RANKED: Final = 10
_LEAST: Final = 1e-12


@dataclass(frozen=True, slots=True, order=True)
class _Node:
    """A beginning of labels; `spelled` is what the server is told, which may have white space in front."""

    negative_probability: float
    text: str
    spelled: str


def lead_of(request: GenerationRequest) -> str:
    """Return the white space that a completion of a request begins with: a plain prompt may end in the middle of a line."""
    return " " if request.prompt is not None and not request.prompt[-1:].isspace() else ""


def shared_start(choices: Sequence[str]) -> str:
    """Return what all choices begin with, up to the border of a word: ``CWE-`` of CWE-78 and CWE-79."""
    first, last = min(choices), max(choices)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return re.sub(r"\w+$", "", first[:same])


async def rank_choices(
    ask: Callable[[str], Awaitable[Generation]], choices: Sequence[str], *, lead: str = "", floor: float = _FLOOR
) -> Generation:
    """Return the log-probability of each choice among all, and the ten likeliest, best first.

    Args:
        ask: what comes next after a beginning of the completion: a generation whose `choice_logprobs` are of token texts.
        lead: white space that stands in front of a completion.
        floor: a node whose probability is below it is not asked about; its labels share it evenly.

    Returns:
        The first error of `ask` as it is, if there is one.
    """
    found = dict.fromkeys(choices, 0.0)
    shared = shared_start(choices)
    nodes = [_Node(-1.0, shared, lead + shared if shared else "")]  # a token brings its white space with it
    prompt_tokens: int | None = None
    asked = 0
    while nodes:
        node = heapq.heappop(nodes)
        below = [each for each in found if each.startswith(node.text)]
        probability = -node.negative_probability
        if len(below) == 1 or probability < floor or asked == _MOST:
            for each in below:
                found[each] += probability / len(below)
            continue
        reply = await ask(node.spelled)
        asked += 1
        if reply.error is not None:
            return reply
        prompt_tokens = prompt_tokens or reply.prompt_tokens
        _share(node, below, reply.choice_logprobs or {}, found, nodes)
    order = sorted(found, key=lambda each: -found[each])
    logprobs = {each: math.log(max(found[each], _LEAST)) for each in found}
    return Generation(
        order[0],
        "stop",
        prompt_tokens,
        asked,
        choice_logprobs=logprobs,
        confidence=found[order[0]],
        ranked=tuple(order[:_RANKED]),
    )


def _share(node: _Node, below: Sequence[str], tokens: Mapping[str, float], found: dict[str, float], nodes: list[_Node]) -> None:
    """Share a node's probability: among longer beginnings, and the label that ends here, if one does."""
    ends = 0.0
    longer: dict[str, tuple[float, float, str]] = {}
    for token, logprob in tokens.items():
        weight = math.exp(logprob)
        text = node.text + (token if node.text else token.lstrip())
        bare = text.rstrip()
        if text != node.text and any(each.startswith(text) for each in below):
            total, best, spelled = longer.get(text, (0.0, 0.0, ""))
            if weight > best:
                best, spelled = weight, node.spelled + token
            longer[text] = total + weight, best, spelled
        elif bare != node.text and bare in found:  # a label with the end of its line
            longer[bare] = longer.get(bare, (0.0, 0.0, node.spelled + token.rstrip()))
            longer[bare] = longer[bare][0] + weight, *longer[bare][1:]
        elif node.text in found:
            ends += weight
    whole = ends + sum(total for total, _, _ in longer.values())
    probability = -node.negative_probability
    if not whole:  # nothing that the server named leads to a label
        for each in below:
            found[each] += probability / len(below)
        return
    if ends:
        found[node.text] += probability * ends / whole
    for text, (total, _, spelled) in longer.items():
        heapq.heappush(nodes, _Node(-probability * total / whole, text, spelled))
