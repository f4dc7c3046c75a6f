"""``defectdojo``: DefectDojo's Generic Findings Import (JSON); the field names are those that its parser allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctiforge.classify.outputs.plain_text import one_line, printable_lines
from ctiforge.classify.outputs.sentences import decision_sentence
from ctiforge.classify.prediction import Prediction
from ctiforge.core.ids import cwe_number, parse_cve_id
from ctiforge.triage.exports.json_list import JsonListRenderer, highest_score, stable_uuid

__all__ = ["DefectDojoRenderer"]

_TITLE = 500


class DefectDojoRenderer(JsonListRenderer):
    """One finding a decision; it has one CWE, so further ones stand in its description."""

    def head(self) -> str:
        """Return the document's opening."""
        return '{"name":"ctiforge","type":"CWE review","findings":['

    def elements(self, prediction: Prediction) -> Iterable[dict[str, Any]]:
        """Return one finding."""
        decision = prediction.decision
        assert decision is not None
        cve_id = parse_cve_id(prediction.id)
        title = prediction.advisory.title if prediction.advisory else ""
        item: dict[str, Any] = {
            "title": one_line(f"{prediction.id}: {title or printable_lines(prediction.text)}", _TITLE),
            "severity": _severity(highest_score(prediction)),
            "description": f"{printable_lines(prediction.text)}\n\n{decision_sentence(decision)}".strip(),
            "date": decision.at[:10],
            "active": True,
            "verified": False,
            "static_finding": False,
            "dynamic_finding": False,
            "unique_id_from_tool": stable_uuid("finding", prediction.id),
            "vuln_id_from_tool": one_line(prediction.id, _TITLE),
        }
        if cve_id:
            item["vulnerability_ids"] = [cve_id]
        if decision.cwe_ids:
            item["cwe"] = cwe_number(decision.cwe_ids[0])
        yield item

    def tail(self) -> str:
        """Return the document's end."""
        return "]}"


def _severity(score: float | None) -> str:
    """Return CVSS's qualitative rating; ``Info`` without a score."""
    bounds = ((9.0, "Critical"), (7.0, "High"), (4.0, "Medium"), (0.1, "Low"))
    return next((name for least, name in bounds if score is not None and score >= least), "Info")
