"""``stix``: a STIX 2.1 bundle with one vulnerability object a decision; CVE and CWE stand under its external references.

STIX has no empty lists (section 2.11), so a bundle of nothing has no ``objects``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctiforge.classify.outputs.plain_text import printable_lines
from ctiforge.classify.outputs.sentences import decision_sentence
from ctiforge.classify.prediction import Prediction
from ctiforge.core.ids import cwe_number, parse_cve_id
from ctiforge.triage.exports.json_list import JsonListRenderer, stable_uuid

__all__ = ["StixRenderer"]


class StixRenderer(JsonListRenderer):
    """Identifiers are the same for the same CVE, so that a later export updates what an earlier one brought."""

    def head(self) -> str:
        """Return the bundle's opening."""
        return f'{{"type":"bundle","id":"bundle--{stable_uuid("bundle", self.options.timestamp)}"'

    def render(self, prediction: Prediction) -> str:
        """Return the elements of one decision; the list opens with the first one."""
        opening = "" if self._count else ',"objects":['
        return opening + super().render(prediction)

    def elements(self, prediction: Prediction) -> Iterable[dict[str, Any]]:
        """Return one vulnerability."""
        decision = prediction.decision
        assert decision is not None
        cve_id = parse_cve_id(prediction.id)
        source = (
            {"source_name": "cve", "external_id": cve_id} if cve_id else {"source_name": "feed", "external_id": prediction.id}
        )
        references: list[dict[str, str]] = [source]
        for cwe_id in decision.cwe_ids:
            url = f"https://cwe.mitre.org/data/definitions/{cwe_number(cwe_id)}.html"
            references.append({"source_name": "cwe", "external_id": cwe_id, "url": url})
        moment = decision.at.replace("Z", ".000Z")
        yield {
            "type": "vulnerability",
            "spec_version": "2.1",
            "id": f"vulnerability--{stable_uuid('vulnerability', prediction.id)}",
            "created": moment,
            "modified": moment,
            "name": prediction.id,
            "description": f"{printable_lines(prediction.text)}\n\n{decision_sentence(decision)}".strip(),
            "external_references": references,
        }

    def tail(self) -> str:
        """Return the bundle's end."""
        return "]}" if self._count else "}"
