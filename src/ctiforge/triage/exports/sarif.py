"""``sarif``: a SARIF 2.1.0 log; every decision is a result, and its CWE entries are taxa (section 3.27.8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.classify.outputs.plain_text import printable_lines
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.outputs.sentences import decision_sentence
from ctiforge.classify.prediction import Prediction
from ctiforge.core.files import sha256
from ctiforge.core.ids import cwe_number
from ctiforge.triage.exports.json_list import JsonListRenderer, highest_score, stable_uuid

__all__ = ["SarifRenderer"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


class SarifRenderer(JsonListRenderer):
    """The taxonomy comes last, with the entries that were named."""

    def __init__(self, options: OutputOptions) -> None:
        super().__init__(options)
        self._taxa: dict[str, str] = {}
        self._cwe_version = ""

    def head(self) -> str:
        """Return the log's opening."""
        driver = {"name": "ctiforge", "informationUri": "https://cwe.mitre.org/", "rules": []}
        if self.options.version:
            driver["version"] = self.options.version
        run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints"}
        return f'{{"$schema":{json_text(_SCHEMA)},"version":"2.1.0","runs":[{json_text(run)[:-1]},"results":['

    def elements(self, prediction: Prediction) -> Iterable[dict[str, Any]]:
        """Return one result."""
        decision = prediction.decision
        assert decision is not None
        entries = prediction.suggestions[: len(decision.cwe_ids)]
        self._taxa |= {entry.cwe_id: entry.name for entry in entries}
        self._cwe_version = prediction.cwe_version
        yield {
            "ruleId": prediction.id,
            "kind": "fail" if entries else "open",
            "level": _level(highest_score(prediction)) if entries else "none",
            "message": {"text": f"{printable_lines(prediction.text)}\n{decision_sentence(decision)}".strip()},
            "taxa": [{"id": str(cwe_number(entry.cwe_id)), "toolComponent": {"name": "CWE"}} for entry in entries],
            "guid": stable_uuid("result", prediction.id),
            "partialFingerprints": {"ctiforge/v1": sha256(prediction.id.encode("utf-8", "replace"))},
            "properties": {"verdict": decision.verdict, "decided_at": decision.at, "model_digest": prediction.model_digest},
        }

    def tail(self) -> str:
        """Return the taxonomy and the log's end."""
        taxonomy: dict[str, Any] = {
            "name": "CWE",
            "organization": "MITRE",
            "informationUri": "https://cwe.mitre.org/",
            "shortDescription": {"text": "Common Weakness Enumeration"},
            "taxa": [
                {"id": str(cwe_number(cwe_id)), "shortDescription": {"text": name}}
                for cwe_id, name in sorted(self._taxa.items(), key=lambda each: cwe_number(each[0]))
            ],
        }
        if self._cwe_version:
            taxonomy["version"] = self._cwe_version
        return f'],"taxonomies":[{json_text(taxonomy)}]}}]}}'


def _level(score: float | None) -> str:
    if score is None:
        return "warning"
    return "error" if score >= 7 else "warning" if score >= 4 else "note"
