"""Answers that are the letter of an option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from ctiforge.bench.extraction.plain import collapse, last_lines, plain_text
from ctiforge.bench.task import Sample

__all__ = ["cascade", "first_letter", "last_letter", "last_line_letter", "option_letters", "published_cascade", "unique_letter"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Options that are words of any explanation; found as a line of their own only.
_EVERYDAY = frozenset("none all both neither yes no true false other unknown any nan n/a".split())
# After these a capital A is the letter; before any other word it is the article.
_AFTER_A = frozenset(
    "is was are were and or because since as but would should could can cannot seems appears describes refers represents"
    " matches fits isn't wasn't also only being".split()
)
_MAX_TRIES = 1000
_NEXT_WORD = re.compile(r"[ \t]+([^\W\d_][\w']*)")


def option_letters(sample: Sample) -> str:
    """Return the letters of the options of `sample`; those of four where it names none."""
    return _ALPHABET[: len(sample.choices) or 4]


@dataclass(frozen=True, slots=True)
class _Patterns:
    """What letters look like in text, for a given number of options. In each the group of the letter is the only one."""

    standing: re.Pattern[str]
    answer_colon: re.Pattern[str]
    answer_is: re.Pattern[str]
    option: re.Pattern[str]
    whole_line: re.Pattern[str]
    labelled: re.Pattern[str]


@cache
def _patterns(letters: str) -> _Patterns:
    either = f"[{letters}{letters.lower()}]"
    # Not in a word, a path, a vector, a language or an abbreviation: A/B, C:\, C:H, C++, C#, A's, D-Link, U.S.A.
    before = r"(?<![\w&/\\'+#@])(?<![A-Za-z0-9][-.])(?<![A-Z]:)"
    after = r"(?![\w+#&'/\\]|-\w|\.\w|:[^\s])"
    open_ = r"(?:the\s{1,4})?(?:(?:option|choice|letter)\s{0,4}:?\s{0,4})?[(\[{\"']{0,3}\s?"
    cued = rf"(?i:{open_})({either}){after}"
    verdict = r"(?:most|best|correct|right|answer)\b"
    return _Patterns(
        standing=re.compile(
            rf"{before}([{letters}]){after}|[(\[]({either})[)\]]|^[^\w\n]{{0,20}}({either})[^\w\n]{{0,20}}$", re.M
        ),
        answer_colon=re.compile(
            rf"(?:(?i:\banswers?(?:\s{{1,4}}(?:option|choice|letter))?)[ \t]{{0,4}}[:=-]\s{{0,8}}|<(?i:answer)>\s{{0,8}}"
            rf"|\\boxed\{{\s{{0,4}}(?:\\\w{{1,8}})?){cued}"
        ),
        answer_is=re.compile(rf"(?i:\banswer\b[^.:;\n]{{0,60}}?\b(?:is|be|was))[ \t]{{0,4}}:?\s{{0,8}}{cued}"),
        option=re.compile(
            rf"(?:(?i:\b(?:option|choice)\b[^.:;\n]{{0,60}}?(?:\b(?:is|be|was)|:)\s{{1,8}}|\b(?:option|choice):\s{{0,8}}"
            rf"|\b(?:choose|chose|select|selected|pick|picked|go with|going with)\s{{1,4}})){cued}"
            rf"|{before}([{letters}])\)?\s{{1,4}}(?:is|would be)\s{{1,4}}(?:clearly\s{{1,4}}|therefore\s{{1,4}})?"
            rf"(?:the\s{{1,4}})?{verdict}"
        ),
        whole_line=re.compile(rf"[\W_]*(?:(?i:option|choice|letter|boxed)[\W_]*)?({either})[\W_]*"),
        labelled=re.compile(rf"[\W_]*(?:(?i:option|choice)\s{{0,4}})?({either})\s?[)\].:-]{{1,2}}\s+(?=\S)"),
    )


def _letters(pattern: re.Pattern[str], text: str, sample: Sample) -> Iterator[str]:
    for match in pattern.finditer(text):
        letter = next(filter(None, match.groups()))
        if letter not in "Aa" or not _is_article(letter, text, match.end(match.lastindex or 0), sample):
            yield letter.upper()


def _is_article(letter: str, text: str, end: int, sample: Sample) -> bool:
    """Tell whether the letter A that ends at `end` is the English article: a word follows that no answer has after it."""
    following = _NEXT_WORD.match(text, end)
    if following is None:
        return False
    word = following[1]
    if letter == "A" and (word.lower() in _AFTER_A or (len(word) == 1 and word.isupper())):
        return False
    named = _folded(sample.choices[0]) if sample.choices else ""
    return not (named and text[following.start(1) : following.start(1) + len(named)].casefold() == named)


@lru_cache(maxsize=4096)
def _folded(choice: str) -> str:
    """Return the text of an option as it is looked for."""
    return collapse(plain_text(choice)).casefold().strip(" .")


def _last(pattern: re.Pattern[str], text: str, sample: Sample) -> str | None:
    last = None
    for letter in _letters(pattern, text, sample):
        last = letter
    return last


def last_letter(text: str, sample: Sample) -> str | None:
    """Return the last letter of an option that stands alone anywhere in `text`.

    Capital letters count, small ones only in brackets or as a line of their own; the article 'A' does not, nor do letters that
    are part of something (``C++``, ``A/B``, ``AV:A``).
    """
    return _last(_patterns(option_letters(sample)).standing, plain_text(text), sample)


def first_letter(text: str, sample: Sample) -> str | None:
    """Return the first letter of an option that stands alone anywhere in `text`; see `last_letter`."""
    return next(_letters(_patterns(option_letters(sample)).standing, plain_text(text), sample), None)


def unique_letter(text: str, sample: Sample) -> str | None:
    """Return the letter of an option that stands alone in `text` if no other one does; see `last_letter`."""
    return _only(plain_text(text), sample)


def _only(plain: str, sample: Sample) -> str | None:
    found = set(_letters(_patterns(option_letters(sample)).standing, plain, sample))
    return found.pop() if len(found) == 1 else None


def last_line_letter(text: str, sample: Sample) -> str | None:
    """Return the letter of the last line: alone, before its option's text, or the only one that stands alone in the line.

    The end of a list of options (``A) ... B) ... C) ... D) ...``, a line each) is no answer.
    """
    return _line_letter(plain_text(text), sample)


def _line_letter(plain: str, sample: Sample) -> str | None:
    lines = last_lines(plain, 2)
    if not lines:
        return None
    patterns = _patterns(option_letters(sample))
    if alone := patterns.whole_line.fullmatch(lines[0]):
        return alone[1].upper()
    if label := patterns.labelled.match(lines[0]):
        earlier = patterns.labelled.match(lines[1]) if len(lines) > 1 else None
        in_list = earlier is not None and earlier[1].upper() != label[1].upper()
        return None if in_list else label[1].upper()
    return _only(lines[0], sample)


def _option_text(plain: str, sample: Sample) -> str | None:
    """Return the letter of the option whose text comes last in `plain`: as a line of its own, else inside one."""
    # Of equal texts none can be told.
    texts = [_folded(choice) for choice in sample.choices]
    known = {t: letter for t, letter in zip(texts, _ALPHABET, strict=False) if t and texts.count(t) == 1}
    for line in reversed(plain.splitlines()):
        if letter := known.get(collapse(line).casefold().strip(" .\"'-#>")):
            return letter
    said = collapse(plain).casefold()
    places = {
        letter: place
        for text, letter in known.items()
        if text not in _EVERYDAY and len(text) > 2 and (place := _last_place(said, text)) is not None
    }
    # Of two that end at the same place (`file` in `batch file`) the longer one is meant.
    return max(places, key=lambda letter: (places[letter], len(texts[_ALPHABET.index(letter)])), default=None)


def _last_place(said: str, text: str) -> int | None:
    """Return where the last occurrence of `text` as whole words ends in `said`."""
    end = len(said) + 1
    for _ in range(_MAX_TRIES):
        start = said.rfind(text, 0, end - 1)
        if start < 0:
            break
        end = start + len(text)
        if not said[start - 1 : start].isalnum() and not said[end : end + 1].isalnum():
            return end
    return None


def cascade(text: str, sample: Sample) -> str | None:
    """Return the letter that the first of five steps finds; within a step the last occurrence counts.

    ``Answer: X`` (also in a box or an answer tag), ``answer is X``, a verdict on an option (``the best option is X``, ``choose
    X``, ``X is the best``; not a mere ``option X``, since explanations go through all of them), the last line, the text of an
    option word for word.
    """
    plain = plain_text(text)
    patterns = _patterns(option_letters(sample))
    for pattern in (patterns.answer_colon, patterns.answer_is, patterns.option):
        if letter := _last(pattern, plain, sample):
            return letter
    return _line_letter(plain, sample) or _option_text(plain, sample)


@cache
def _published_patterns(letters: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    return (
        re.compile(rf"(?i)answer\s{{0,4}}(?:is|:)\s{{0,4}}:?\s{{0,4}}\**\(?([{letters}])\b"),
        re.compile(rf"\W*([{letters}])\W*"),
        re.compile(rf"(?i)\boption\s{{1,4}}([{letters}])\b"),
    )


def published_cascade(text: str, sample: Sample) -> str | None:
    """Return the letter as the authors of CyberSecQwen-4B read it, as far as their published predictions show.

    The last ``answer is X`` or ``answer: X``; else the last line if it is nothing but a letter; else the first ``option X``.
    The rule was found by experiment: it gives the printed answer of every one of the 4,811 multiple-choice completions that
    their two files hold whole. It reads ``The best option is C.`` as no answer.
    """
    answer, line, option = _published_patterns(option_letters(sample))
    if found := answer.findall(text):
        return str(found[-1]).upper()
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and (alone := line.fullmatch(lines[-1])):
        return alone[1]
    first = option.search(text)
    return first[1].upper() if first else None
