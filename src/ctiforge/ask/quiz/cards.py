"""Questions as cards for other programs: Anki's text import, and CSV.

Anki: https://docs.ankiweb.net/importing/text-files.html (file headers, tab separated, a column of tags and one of GUIDs).
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Final

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.questions import Question
from ctiforge.core.errors import SettingError, did_you_mean

__all__ = ["CARD_FORMATS", "render_cards"]

CARD_FORMATS: Final = ("anki", "csv")
_DECK: Final = "ctiforge"
_COLUMNS: Final = tuple("id topic level kind question A B C D answer why subject url passages".split())
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def render_cards(base: KnowledgeBase, questions: Sequence[Question], form: str) -> str:
    """Return the questions in a format of `CARD_FORMATS`.

    Raises:
        SettingError: there is no such format.
    """
    if form == "anki":
        return _anki(base, questions)
    if form == "csv":
        return _csv(base, questions)
    raise SettingError(
        f"no card format {form!r}", fix=did_you_mean(form, CARD_FORMATS) or f"formats: {', '.join(CARD_FORMATS)}"
    )


def _url(base: KnowledgeBase, question: Question) -> str:
    found = base.get(question.subject)
    return found.url if found is not None else ""


def _anki(base: KnowledgeBase, questions: Sequence[Question]) -> str:
    head = ["#separator:tab", "#html:true", "#notetype:Basic", f"#deck:{_DECK}", "#guid column:1", "#tags column:4"]
    lines = []
    for each in questions:
        shown = "<br>".join(f"{letter}) {_html(option)}" for letter, option in zip(ascii_uppercase, each.options, strict=False))
        url = _url(base, each)
        page = f'<br><a href="{html.escape(url)}">{_html(each.subject)}</a>' if url else f"<br>{_html(each.subject)}"
        back = f"<b>{ascii_uppercase[each.answer]}) {_html(each.right)}</b><br>{_html(each.why)}{page}"
        tags = f"{_DECK}::{each.topic} level::{each.level}"
        lines.append("\t".join((each.id.replace("\t", " "), f"{_html(each.stem)}<br><br>{shown}", back, tags)))
    return "\n".join([*head, *lines]) + "\n"


def _html(text: str) -> str:
    """Return text for a field of HTML, on one line; quotes would begin a quoted field."""
    return html.escape(" ".join(text.split()), quote=True)


def _csv(base: KnowledgeBase, questions: Sequence[Question]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in questions:
        options = [*each.options, "", "", "", ""][:4]
        row = [
            each.id, each.topic, each.level, each.kind, each.stem, *options, ascii_uppercase[each.answer], each.why,
            each.subject, _url(base, each), " ".join(each.passages),
        ]  # fmt: skip
        writer.writerow([_inert(value) for value in row])
    return stream.getvalue()


def _inert(value: object) -> object:
    """Return a text that a spreadsheet takes for a formula with an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
