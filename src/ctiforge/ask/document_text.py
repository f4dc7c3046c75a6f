"""The text of one document, in sections: Markdown, HTML, PDF, plain text.

Only what a reader would see is taken: no scripts, no styles, no comments, no hidden elements. It is data, whatever it says.
"""

from __future__ import annotations

import html.parser
import importlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ctiforge.core.errors import InputError, MissingExtraError

__all__ = ["DOCUMENT_SUFFIXES", "MAX_DOCUMENT_BYTES", "Section", "read_document"]

MAX_DOCUMENT_BYTES: Final = 64 * 2**20
DOCUMENT_SUFFIXES: Final = frozenset({".md", ".markdown", ".html", ".htm", ".pdf", ".txt", ".text", ".rst"})

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"\s*(```+|~~~+)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"(?<!\w)(\*\*|__|\*|_)(?=\S)(.+?)(?<=\S)\1(?!\w)")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document: the headings above it from the outermost in, its text with one line a paragraph, and where it is
    (``page 3``; empty where the format has no pages)."""

    heading: tuple[str, ...]
    text: str
    place: str = ""


def read_document(path: Path) -> list[Section]:
    """Read one document; its format is told by its name.

    Raises:
        InputError: it is too large, damaged, encrypted, or not text in UTF-8.
        MissingExtraError: it is a PDF file and the package pypdf is not installed.
    """
    if (size := path.stat().st_size) > MAX_DOCUMENT_BYTES:
        raise InputError(f"{path}: {size:,} bytes, more than {MAX_DOCUMENT_BYTES:,}", fix="split it")
    suffix = path.suffix.lower()
    if suffix == ".pdf":
        return _read_pdf(path)
    text = _decoded(path)
    if suffix in (".md", ".markdown"):
        return _read_markdown(text)
    if suffix in (".html", ".htm"):
        return _read_html(text)
    return [Section((), _paragraphs(text))]


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text in UTF-8: byte {error.start:,} is not", fix="save it as UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path}: no text: it has zero bytes", fix="leave it out")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _paragraphs(text: str) -> str:
    """Join the lines of each paragraph; a list item or table row stays a line of its own."""
    lines: list[str] = []
    fresh = True
    for raw in text.split("\n"):
        line = " ".join(raw.split())
        starts = fresh or re.match(r"([-*+•]|\d+[.)])\s|\|", line) is not None
        if line and starts:
            lines.append(line)
        elif line:
            lines[-1] += " " + line
        fresh = not line
    return "\n".join(lines)


class _Outline:
    """Collects sections under a stack of headings."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._stack: list[tuple[int, str]] = []
        self._lines: list[str] = []

    def add(self, text: str) -> None:
        self._lines.append(text)

    def open(self, level: int, title: str) -> None:
        self.close()
        self._stack = [each for each in self._stack if each[0] < level] + [(level, title)]

    def close(self) -> None:
        text = _paragraphs("\n".join(self._lines))
        if text:
            self.sections.append(Section(tuple(title for _, title in self._stack), text))
        self._lines = []


def _read_markdown(text: str) -> list[Section]:
    outline = _Outline()
    fence = ""
    for line in _COMMENT.sub("", _FRONT_MATTER.sub("", text)).split("\n"):
        if mark := _FENCE.match(line):
            if not fence:
                fence = mark[1][:3]
            elif mark[1].startswith(fence):
                fence = ""
            outline.add("")
        elif fence:
            outline.add(f"{line}\n")  # code keeps its lines
        elif heading := _HEADING.match(line):
            outline.open(len(heading[1]), _plain(heading[2]))
        elif not re.fullmatch(r"\s*(?:[-=*_]\s*){3,}|[|:\s-]*-[|:\s-]*", line):
            outline.add(_plain(line))
        else:
            outline.add("")
    outline.close()
    return outline.sections


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", text).replace("`", "")
    return re.sub(r"^\s*>\s?", "", _EMPHASIS.sub(r"\2", text))


_CLOSES: Final = frozenset({("li", "li"), ("td", "td"), ("th", "td"), ("tr", "tr"), ("dt", "dd"), ("dd", "dt")})
"""What each start tag ends, if it was left open: (open element, start tag)."""


class _HtmlReader(html.parser.HTMLParser):
    _UNSEEN: Final = frozenset({"script", "style", "template", "noscript", "head", "svg", "iframe", "object", "nav"})
    _BLOCKS: Final = frozenset(
        "p div section article header footer main aside li ul ol dl dt dd table tr thead tbody pre blockquote br hr".split()
    )
    _VOID: Final = frozenset("area base br col embed hr img input link meta source track wbr".split())

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.outline = _Outline()
        self._hidden: list[str] = []
        self._heading: tuple[int, list[str]] | None = None
        self._line: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._VOID:
            if tag in self._BLOCKS:
                self._break()
            return
        # Tags that HTML lets a writer leave open must not hide what follows.
        if tag == "body":
            self._hidden.clear()
        elif self._hidden and ((self._hidden[-1], tag) in _CLOSES or (self._hidden[-1] == "p" and tag in self._BLOCKS)):
            self._hidden.pop()
        given = {name: value or "" for name, value in attrs}
        unseen = tag in self._UNSEEN or "hidden" in given or given.get("aria-hidden") == "true"
        style = given.get("style", "").replace(" ", "").lower()
        if self._hidden or unseen or "display:none" in style or "visibility:hidden" in style:
            self._hidden.append(tag)
        elif re.fullmatch(r"h[1-6]", tag):
            self._break()
            self._heading = (int(tag[1]), [])
        elif tag in self._BLOCKS:
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag in self._hidden:
                del self._hidden[len(self._hidden) - 1 - self._hidden[::-1].index(tag) :]
        elif self._heading and re.fullmatch(r"h[1-6]", tag):
            title = " ".join("".join(self._heading[1]).split())
            if title:
                self.outline.open(self._heading[0], title)
            self._heading = None
        elif tag in self._BLOCKS:
            self._break()
        elif tag in ("td", "th"):
            self._line.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            (self._heading[1] if self._heading else self._line).append(data)

    def _break(self) -> None:
        text = " ".join("".join(self._line).split())
        if text:
            self.outline.add(f"{text}\n")
        self._line = []

    def finish(self) -> list[Section]:
        self.close()
        self._break()
        self.outline.close()
        return self.outline.sections


def _read_html(text: str) -> list[Section]:
    reader = _HtmlReader()
    reader.feed(text)
    return reader.finish()


def _read_pdf(path: Path) -> list[Section]:
    try:
        pypdf: Any = importlib.import_module("pypdf")
    except ImportError:
        raise MissingExtraError("pypdf", "ask") from None
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # pypdf's remarks on sloppy files
    try:
        reader = pypdf.PdfReader(str(path))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError(f"{path}: encrypted", fix="save it without a password")
        pages = [_paragraphs(_HYPHEN.sub("", page.extract_text() or "")) for page in reader.pages]
    except InputError:
        raise
    except Exception as error:  # a damaged file may break pypdf anywhere
        raise InputError(f"{path}: no readable PDF file ({type(error).__name__}: {error})", fix="save it again") from None
    finally:
        logging.disable(before)
    return [Section((), text, f"page {number}") for number, text in enumerate(pages, start=1) if text]
