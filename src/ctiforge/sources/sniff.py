"""What a stream holds, told from its first bytes: JSON, one JSON value a line, a table, lines of text, or nothing readable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import orjson

from ctiforge.sources.encodings import decode_repairing
from ctiforge.sources.formats import JSON_FORMATS
from ctiforge.sources.options import ReadOptions
from ctiforge.sources.tables import Table, sniff_table

__all__ = ["Content", "sniff_content"]

_JSON_ARRAY = re.compile(rb'\[\s*(?:[\[\]{"]|\Z)')
_ID = re.compile(r"\b(?:CVE-\d{4}-\d{4}|GHSA(?:-[0-9a-z]{4}){3})", re.IGNORECASE)
_SAMPLE_LINES = 50
_MAX_CONTROL_SHARE = 0.02
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\v\x1b") + b"\x7f"


@dataclass(frozen=True, slots=True)
class Content:
    """What a stream holds; `table` says how a table is written, `why` why a stream is unknown."""

    kind: Literal["json", "jsonl", "table", "text", "unknown"]
    table: Table | None = None
    why: str = ""


def sniff_content(head: bytes, *, complete: bool, mixed: bool, name: str, options: ReadOptions) -> Content:
    """Tell what a stream holds.

    Args:
        head: its first bytes as UTF-8, 64 KiB or all there is.
        complete: `head` is the whole stream.
        mixed: it was found in a directory or archive, where text counts as advisories only if its lines name vulnerabilities.
        name: file name; only its ending is looked at, and only to tell a table without known columns from text.
        options: a format given there settles the family.
    """
    start = head.lstrip(b" \t\r\n\0")
    if not start:
        return Content("unknown", why="empty: there is nothing to read" if not head else "nothing but white space")
    forced = options.format
    table_like = forced in ("csv", "tsv") or (forced == "kev" and start[:1] not in (b"{", b"["))
    if forced in JSON_FORMATS and not table_like:
        return Content("jsonl" if _is_jsonl(start, complete) else "json")
    if forced is None and (start[:1] == b"{" or _JSON_ARRAY.match(start) or _mostly_objects(start)):
        return Content("jsonl" if _is_jsonl(start, complete) else "json")
    if forced == "text":
        return Content("text")
    if not table_like and (why := _binary(head)):
        return Content("unknown", why=why)
    text = decode_repairing(head)[0].replace("\0", "")
    table = sniff_table(
        text if complete else text[: text.rfind("\n") + 1] or text,
        field_map=options.field_map,
        forced=forced if table_like else None,  # type: ignore[arg-type]
        hinted=name.lower().endswith((".csv", ".tsv")),
    )
    if table is not None:
        return Content("table", table)
    if mixed and not _names_vulnerabilities(text):
        return Content("unknown", why="text without vulnerability IDs, in a directory or archive; --format text reads it")
    return Content("text")


def _binary(head: bytes) -> str:
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it and name the folder"
    if head.startswith(b"%PDF-"):
        return "a PDF file, which is not a format that is read"
    control = len(head) - len(head.translate(None, _CONTROL))
    return "binary data of no known format" if control > _MAX_CONTROL_SHARE * len(head) else ""


def _names_vulnerabilities(text: str) -> bool:
    """Tell lists of advisories from other texts: half of the lines, at least, name a vulnerability."""
    lines = [line for line in text.split("\n") if line.strip()][:_SAMPLE_LINES]
    return 2 * sum(bool(_ID.search(line)) for line in lines) >= len(lines)


def _sample(start: bytes, complete: bool) -> list[bytes]:
    lines = start.split(b"\n")
    if not complete and len(lines) > 1:
        lines.pop()
    return [line for line in (line.strip() for line in lines) if line][:_SAMPLE_LINES]


def _mostly_objects(start: bytes) -> bool:
    """Tell JSON Lines whose first line is damaged or a comment."""
    lines = _sample(start, complete=True)
    return len(lines) > 1 and sum(line.startswith(b'{"') for line in lines) > len(lines) / 2


def _is_jsonl(start: bytes, complete: bool) -> bool:
    """Tell one JSON value a line from a document over several lines, so that a bad line costs just itself."""
    lines = _sample(start, complete)
    if not complete and b"\n" not in start:
        return False  # one line longer than the head: the splitter for documents finds the ends of objects as well
    if len(lines) < 2:
        return False
    whole = sum(line[:1] == b"{" and line[-1:] == b"}" and _is_object(line) for line in lines)
    looks = sum(line[:1] == b"{" and line not in (b"{", b"{}") and line[-1:] not in b",{[" for line in lines)
    return 2 * whole >= len(lines) or 5 * looks >= 4 * len(lines)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
