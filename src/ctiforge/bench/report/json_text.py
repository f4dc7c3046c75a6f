"""The report as JSON: the records themselves, checked, in one document with sorted keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from ctiforge.bench.records import Record, check_records

__all__ = ["REPORT_FORMAT", "render_json"]

REPORT_FORMAT: Final = "ctiforge-benchmark-report/1"


def render_json(records: Sequence[Record]) -> str:
    """Return ``{"format": ..., "records": [...]}``; equal records give equal text.

    Raises:
        InputError: there is no record, or one that this program cannot read.
    """
    report = {"format": REPORT_FORMAT, "records": [dict(record) for record in check_records(records)]}
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
