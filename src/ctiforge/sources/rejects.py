"""Rejects: what was not read, where it stands and why, in a form that a person and a program can use."""

from __future__ import annotations

from typing import Any

from ctiforge.core.advisory import Reject, RejectReason, SourceRef

__all__ = ["EXCERPT_CHARS", "build_reject", "reject_row", "render_excerpt"]

EXCERPT_CHARS = 200


def render_excerpt(data: bytes | str) -> str:
    """Return the start of `data` on one line, at most `EXCERPT_CHARS` characters, without control characters."""
    text = data[: 4 * EXCERPT_CHARS].decode("utf-8", "replace") if isinstance(data, bytes) else data[: 4 * EXCERPT_CHARS]
    printable = "".join(char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text)
    return " ".join(printable.split())[:EXCERPT_CHARS]


def build_reject(source: SourceRef, reason: RejectReason, detail: str, *, id: str = "", data: bytes | str = b"") -> Reject:  # noqa: A002
    """Return a `Reject` with the excerpt made from the offending `data`."""
    return Reject(source, reason, detail, id=id, excerpt=render_excerpt(data))


def reject_row(reject: Reject) -> dict[str, Any]:
    """Return `reject` as one flat object of a rejects file; keys and their order are part of the output contract."""
    return {
        "path": reject.source.path,
        "member": reject.source.member,
        "line": reject.source.line,
        "format": reject.source.format,
        "id": reject.id,
        "reason": reject.reason,
        "detail": reject.detail,
        "excerpt": reject.excerpt,
    }
