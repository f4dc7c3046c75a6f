"""Plain text from the markup that MITRE writes inside descriptions: citations, Markdown links, HTML elements and entities."""

from __future__ import annotations

import html
import re
from xml.etree.ElementTree import Element

__all__ = ["clean_markup", "element_paragraphs"]

_CITATION = re.compile(r"\s*\(Citation:(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
_LINK = re.compile(r"\[([^\[\]]*)\]\((?:https?://|/)(?:[^()\s]|\([^()\s]*\))*\)")
_REFERENCE = re.compile(r"\s*\[REF-\d+\]")
_BLOCK_NAMES = ("p", "br", "li", "ul", "ol", "div", "tr", "table", "tbody", "h1", "h2", "h3", "h4", "pre")
_BREAK = re.compile(rf"</?(?:xhtml:)?(?:{'|'.join(_BLOCK_NAMES)})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_INLINE = re.compile(r"</?(?:xhtml:)?(?:code|b|i|u|em|strong|td|th|sup|sub|span|a|sdo)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_SPACES = re.compile(r"[^\S\n]+")
_BEFORE_STOP = re.compile(r" +([.,;:!?])(?=\s|$)")


def clean_markup(text: str) -> str:
    """Return `text` without citations, link targets and HTML elements; one line a paragraph or list item.

    ATT&CK writes ``(Citation: Name)``, ``[Name](https://...)`` and ``<code>``; CAPEC writes ``xhtml:p`` and its like; CWE
    writes ``[REF-12]``. Angle brackets that are no known element (``<script>`` in an example) stay as they are.
    """
    if not text:
        return ""
    text = _LINK.sub(r"\1", _CITATION.sub("", text))
    text = _INLINE.sub("", _BREAK.sub("\n", text))
    text = _REFERENCE.sub("", html.unescape(text)).replace("**", "")
    lines = (_BEFORE_STOP.sub(r"\1", _SPACES.sub(" ", line)).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def element_paragraphs(element: Element | None) -> str:
    """Return the text of an XML element, one line a paragraph or list item, without references; None is empty."""
    return "" if element is None else "\n".join(_lines(element))


def _lines(element: Element) -> list[str]:
    pieces: list[str] = []

    def walk(node: Element) -> None:
        block = node is not element and node.tag.rpartition("}")[2].lower() in _BLOCK_NAMES
        pieces.append("\n" if block else "")
        pieces.append(" ".join((node.text or "").split("\n")))
        for child in node:
            walk(child)
            pieces.append(" ".join((child.tail or "").split("\n")))
        pieces.append("\n" if block else "")

    walk(element)
    found = _REFERENCE.sub("", "".join(pieces)).split("\n")
    lines = (_BEFORE_STOP.sub(r"\1", _SPACES.sub(" ", line)).strip() for line in found)
    return [line for line in lines if line]
