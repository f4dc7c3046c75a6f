"""Rejects as rows and excerpts."""

from __future__ import annotations

import orjson

from ctiforge.core.advisory import Reject, SourceRef
from ctiforge.sources.rejects import build_reject, reject_row, render_excerpt


def test_a_row_has_stable_keys() -> None:
    reject = Reject(SourceRef("a.zip", 3, "csv", "b.csv"), "malformed_row", "two cells", id="X", excerpt="p,q")
    assert list(reject_row(reject).items()) == [
        ("path", "a.zip"),
        ("member", "b.csv"),
        ("line", 3),
        ("format", "csv"),
        ("id", "X"),
        ("reason", "malformed_row"),
        ("detail", "two cells"),
        ("excerpt", "p,q"),
    ]


def test_an_excerpt_is_short_printable_and_on_one_line() -> None:
    assert render_excerpt(b"a\n\tb\0c\x1b[31m\xff") == "a b\ufffdc\ufffd[31m\ufffd"
    assert len(render_excerpt("x" * 10_000)) == 200
    assert render_excerpt("\u202eabc") == "\ufffdabc"  # bidirectional controls would reorder a terminal line


def test_a_reject_can_always_be_written_as_json() -> None:
    reject = build_reject(SourceRef("x"), "malformed_json", "d", data=b"\xed\xa0\x80\xff" * 90)
    assert orjson.loads(orjson.dumps(reject_row(reject)))["excerpt"] == reject.excerpt
