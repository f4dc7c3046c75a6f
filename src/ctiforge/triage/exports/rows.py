"""Rows: decisions for spreadsheets, cases for ``ctiforge bench``, a feed for ``ctiforge corpus`` and ``ctiforge train``.

What was accepted in bulk is neither a case nor a row for training: it is the model's own answer, and nobody has looked at it.
Cases and training rows are the same decisions, so a store's decisions should serve one of the two; docs/triage.md says how to
keep them apart.
"""

from __future__ import annotations

from typing import Any

from ctiforge.classify.outputs.assigned import compare_assigned
from ctiforge.classify.outputs.csv_rows import csv_line
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.prediction import Decision, Prediction

__all__ = ["DecisionsCsvRenderer", "EvaluationRenderer", "TrainingRenderer"]

_COLUMNS = (
    "id", "verdict", "cwe_ids", "decided_at", "in_bulk", "suggested", "probability", "abstained", "assigned", "title",
    "published", "model", "model_digest", "cwe_version", "policy", "source",
)  # fmt: skip


class DecisionsCsvRenderer(Renderer):
    """A header and one row a decision."""

    def begin(self) -> str:
        """Return the header."""
        return csv_line(list(_COLUMNS))

    def render(self, prediction: Prediction) -> str:
        """Return one line."""
        decision, advisory = prediction.decision, prediction.advisory
        assert decision is not None
        assert advisory is not None
        further = prediction.suggestions[len(decision.cwe_ids) :]
        first = prediction.suggestions[0] if decision.verdict == "accept" else further[0] if further else None
        return csv_line(
            [
                prediction.id,
                decision.verdict,
                "; ".join(decision.cwe_ids),
                decision.at,
                "true" if decision.in_bulk else "false",
                first.cwe_id if first else "",
                f"{first.probability:.4f}" if first else "",
                prediction.reason or "",
                "; ".join(f"{view.name}: {view.label}" for view in compare_assigned(prediction)),
                advisory.title,
                advisory.published,
                prediction.model,
                prediction.model_digest,
                prediction.cwe_version,
                prediction.policy,
                str(advisory.source),
            ]
        )


class _LabelledRows(Renderer):
    def render(self, prediction: Prediction) -> str:
        """Return one line, or nothing where there is no label that a person has looked at."""
        decision = prediction.decision
        assert decision is not None
        if decision.in_bulk:
            return self._leave_out("accepted in bulk")
        if not decision.cwe_ids:
            return self._leave_out("no CWE assigned")
        if not prediction.text.strip():
            return self._leave_out("no text")
        return json_text(self.row(prediction, decision)) + "\n"

    def row(self, prediction: Prediction, decision: Decision) -> dict[str, Any]:
        """Return one row."""
        raise NotImplementedError


class EvaluationRenderer(_LabelledRows):
    """``cwe`` is the first entry of the decision, ``cwes`` are all."""

    def row(self, prediction: Prediction, decision: Decision) -> dict[str, Any]:
        """Return one case."""
        return {
            "id": prediction.id,
            "description": prediction.text,
            "cwe": decision.cwe_ids[0],
            "cwes": list(decision.cwe_ids),
            "decided_at": decision.at,
            "source": str(prediction.advisory.source) if prediction.advisory else "",
        }


class TrainingRenderer(_LabelledRows):
    """A feed like any other, with where the label comes from."""

    def row(self, prediction: Prediction, decision: Decision) -> dict[str, Any]:
        """Return one record."""
        return {
            "id": prediction.id,
            "description": prediction.text,
            "cwe": list(decision.cwe_ids),
            "published": prediction.advisory.published if prediction.advisory else "",
            "provenance": {
                "label_by": "review",
                "verdict": decision.verdict,
                "decided_at": decision.at,
                "source": str(prediction.advisory.source) if prediction.advisory else "",
                "model_in_view": prediction.model_digest,
                "cwe_version": prediction.cwe_version,
            },
        }
