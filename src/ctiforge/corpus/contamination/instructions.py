"""The instruction that many prompts share, found in the prompts themselves, so that it is not taken for overlap."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Instructions", "all_instructions", "find_instructions", "split_answer"]

_TOKEN: Final = re.compile(r"\S+")
_BORDER: Final = re.compile(r"[.:?!>\])*#]$")
_HEADING: Final = re.compile(r"\*\*|#|<|\[")
_SEPARATOR: Final = re.compile(
    r"(?:^|(?<=\s))(?:\*\*|#+ *)?(?:CVE Description|Vulnerability Description|Question|Text|Input)\s*:(?:\*\*)?[ \t]*\n?\s*"
)
# Where the answer starts in a conversation that was flattened to one text, by the markers of common chat templates.
_ANSWER: Final = re.compile(
    r"<\|im_start\|>\s*assistant|<start_of_turn>\s*model|<\|assistant\|>|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>"
    r"|\[/INST\]|\n#+ *(?:Response|Answer|Output)\s*:?|\n(?:Response|Assistant)\s*:"
)
_TEMPLATE_MARK: Final = re.compile(r"<\|[\w-]+\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<bos>|<eos>")
_MAX_TOKENS = 400
_MIN_TOKENS = 4
_MIN_REST = 3


@dataclass(frozen=True, slots=True)
class Instructions:
    """Word sequences that prompts begin or end with, the longest first.

    Attributes:
        prefixes, suffixes: each a tuple of the words between white space.
        shares: share of the prompts looked at that each prefix begins.
    """

    prefixes: tuple[tuple[str, ...], ...] = ()
    suffixes: tuple[tuple[str, ...], ...] = ()
    shares: tuple[float, ...] = ()

    def remove_from(self, text: str) -> str:
        """Return `text` without a shared beginning and end; if nothing much is left, `text` itself.

        A text with no shared beginning loses what stands before a known separator such as ``CVE Description:``.
        """
        kept = text.strip()
        for prefix in self.prefixes:
            if kept.startswith(prefix[0]) and (rest := _without_start(kept, prefix)) is not None:
                kept = rest
                break
        for suffix in self.suffixes:
            if kept.endswith(suffix[-1]) and (rest := _without_end(kept, suffix)) is not None:
                kept = rest
                break
        return text if _is_short(kept) else _after_separator(kept)

    def joined(self, other: Instructions) -> Instructions:
        """Return both."""
        prefixes = dict(zip((*other.prefixes, *self.prefixes), (*other.shares, *self.shares), strict=True))
        ordered = sorted(prefixes, key=lambda each: (-len(each), each))
        suffixes = sorted({*self.suffixes, *other.suffixes}, key=lambda each: (-len(each), each))
        return Instructions(tuple(ordered), tuple(suffixes), tuple(prefixes[each] for each in ordered))


def _without_start(text: str, words: tuple[str, ...]) -> str | None:
    parts = text.split(None, len(words))
    if tuple(parts[: len(words)]) != words:
        return None
    return parts[-1] if len(parts) > len(words) else ""


def _without_end(text: str, words: tuple[str, ...]) -> str | None:
    parts = text.rsplit(None, len(words))
    if tuple(parts[-len(words) :]) != words:
        return None
    return parts[0] if len(parts) > len(words) else ""


def _is_short(text: str) -> bool:
    return len(text.split(None, _MIN_REST)) < _MIN_REST


def _after_separator(text: str) -> str:
    match = _SEPARATOR.search(text) if ":" in text else None
    if match is None:
        return text
    rest = text[match.end() :]
    return text if _is_short(rest) else rest


def find_instructions(prompts: Collection[str], *, min_share: float = 0.2, min_prompts: int = 10) -> Instructions:
    """Return the beginnings and ends that at least `min_share` of the prompts, and `min_prompts` different ones, share.

    A beginning ends at punctuation, so that ``... CWE ID. CVE Description:`` is one and the ``A`` that many descriptions begin
    with is not part of it. All such borders on the way count, so prompts of several kinds are served.
    """
    tokens = [_TOKEN.findall(prompt) for prompt in sorted(set(prompts))]
    needed = max(min_prompts, min_share * len(tokens))
    heads = _shared([each[:_MAX_TOKENS] for each in tokens], needed)
    tails = _shared([each[: -_MAX_TOKENS - 1 : -1] for each in tokens], needed)
    borders = sorted((path for path in heads if _BORDER.search(path[-1])), key=lambda each: (-len(each), each))
    ordered: list[tuple[str, ...]] = []
    for path in borders:  # a border that the same prompts all pass on their way to a later one is no end
        if not any(heads[longer] == heads[path] and longer[: len(path)] == path for longer in ordered):
            ordered.append(path)
    longest = [path for path in tails if not any(other[: len(path)] == path for other in tails if len(other) > len(path))]
    suffixes = sorted(
        {ending for path in longest if (ending := _ending(path[::-1], tokens))}, key=lambda each: (-len(each), each)
    )
    return Instructions(tuple(ordered), tuple(suffixes), tuple(heads[each] / len(tokens) for each in ordered))


def _shared(sequences: Sequence[Sequence[str]], needed: float) -> dict[tuple[str, ...], int]:
    """Return every beginning of `_MIN_TOKENS` words or more that `needed` of the sequences have, with their number."""
    found: dict[tuple[str, ...], int] = {}
    groups: list[tuple[tuple[str, ...], Sequence[Sequence[str]]]] = [((), sequences)]
    while groups:
        path, members = groups.pop()
        following = Counter(each[len(path)] for each in members if len(each) > len(path))
        for word, count in following.items():
            if count < needed:
                continue
            longer = (*path, word)
            if len(longer) >= _MIN_TOKENS:
                found[longer] = count
            groups.append((longer, [each for each in members if len(each) > len(path) and each[len(path)] == word]))
    return found


def _ending(words: tuple[str, ...], prompts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return what of a shared end begins as a sentence or a heading does, so that it does not cut one in two; maybe nothing."""
    before = [each[-len(words) - 1] for each in prompts if len(each) > len(words) and tuple(each[-len(words) :]) == words]
    if sum(bool(_BORDER.search(word)) for word in before) >= 0.9 * len(before):
        return words
    starts = (place for place, word in enumerate(words) if _HEADING.match(word) or (place and _BORDER.search(words[place - 1])))
    ending = words[next(starts, len(words)) :]
    return ending if len(ending) >= _MIN_TOKENS else ()


def split_answer(text: str) -> tuple[str, str]:
    """Return prompt and answer of a conversation written as one text; the answer is empty where no marker tells it."""
    match = _ANSWER.search(text)
    prompt, answer = (text[: match.start()], text[match.end() :]) if match else (text, "")
    return _TEMPLATE_MARK.sub(" ", prompt).strip(), _TEMPLATE_MARK.sub(" ", answer).strip()


def all_instructions(groups: Iterable[Collection[str]]) -> Instructions:
    """Return the instructions of several groups of prompts, each looked at by itself."""
    found = Instructions()
    for prompts in groups:
        found = found.joined(find_instructions(prompts))
    return found
