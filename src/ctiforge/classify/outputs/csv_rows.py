"""``csv``: one row a record, for spreadsheets (RFC 4180 quoting, UTF-8, one physical line a record).

What a spreadsheet would take for a formula gets an apostrophe in front (OWASP, CSV Injection): descriptions and identifiers
come from outside. That holds for a cell's start, and after a semicolon, where a spreadsheet of another locale begins a cell.
"""

from __future__ import annotations

import csv
import io
import re

from ctiforge.classify.outputs.assigned import compare_assigned
from ctiforge.classify.outputs.plain_text import one_line
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.outputs.sentences import prefer_text
from ctiforge.classify.prediction import Prediction

__all__ = ["CsvRenderer", "csv_line"]

_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_AFTER_SEMICOLON = re.compile(r"(;[\s\"]*)(?=[=+\-@＝＋－＠])")
_HEAD = ("id", "abstained", "reason")
_EACH = ("cwe", "name", "probability", "usage")
_TAIL = (
    "evidence", "moved_from", "chain", "discouraged", "assigned", "model", "model_digest", "cwe_version", "policy", "source",
)  # fmt: skip


class CsvRenderer(Renderer):
    """A header and one row a record; the columns ``cwe_1`` to ``usage_k`` hold the suggestions, best first."""

    def begin(self) -> str:
        """Return the header line."""
        ranked = [f"{name}_{rank}" for rank in range(1, self.options.top_k + 1) for name in _EACH]
        return csv_line([*_HEAD, *ranked, *_TAIL])

    def render(self, prediction: Prediction) -> str:
        """Return one line."""
        cells = [prediction.id, "true" if prediction.abstained else "false", prediction.reason or ""]
        for rank in range(self.options.top_k):
            if rank < len(prediction.suggestions):
                each = prediction.suggestions[rank]
                cells += [each.cwe_id, each.name, f"{each.probability:.4f}", each.usage]
            else:
                cells += [""] * len(_EACH)
        best = prediction.suggestions[0] if prediction.suggestions else None
        discouraged = prediction.discouraged[: self.options.top_k]
        cells += [
            "; ".join(span.text for span in best.evidence) if best else "",
            best.moved_from.cwe_id if best and best.moved_from else "",
            " > ".join(prediction.chain),
            "; ".join(f"{each.cwe_id} ({prefer_text(each, len(each.prefer))})" for each in discouraged),
            "; ".join(f"{view.name}: {view.label}" for view in compare_assigned(prediction)),
            prediction.model,
            prediction.model_digest,
            prediction.cwe_version,
            prediction.policy,
            str(prediction.advisory.source) if prediction.advisory else "",
        ]
        return csv_line(cells)


def csv_line(cells: list[str]) -> str:
    """Return one line; no cell of it is a formula, and none breaks the line."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_safe(cell) for cell in cells])
    return line.getvalue()


def _safe(cell: str) -> str:
    # Before and after cleaning: white space in front of the sign does not stop every spreadsheet.
    text = _AFTER_SEMICOLON.sub(r"\1'", one_line(cell))
    return f"'{text}" if text.startswith(_FORMULA_START) or cell.startswith(_FORMULA_START) else text
