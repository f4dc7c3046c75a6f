"""``cve-adp``: ADP containers of the CVE Record Format 5.1, one a line.

Each line is the part of a CVE Record that an authorised data publisher (ADP) writes: ``dataType``, ``dataVersion``, the
CVE ID and ``containers.adp`` with one container, valid against the format's ``adpContainer`` schema. There is no ``cna``
container, since that is the CNA's own; cvelib's ``publish-adp`` takes the line as it is.
Vulnrichment's rule holds: a CWE is added only where the CNA gave none (github.com/cisagov/vulnrichment, issue 61).
"""

from __future__ import annotations

from typing import Any

from ctiforge.classify.outputs.mappable import published_entries
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.prediction import Prediction, Suggestion
from ctiforge.core.ids import parse_cve_id

__all__ = ["PLACEHOLDER_ORG_ID", "CveAdpRenderer"]

PLACEHOLDER_ORG_ID = "00000000-0000-4000-8000-000000000000"
"""Stands where the user named no organisation: a valid version 4 UUID, as the schema demands, that belongs to nobody."""


class CveAdpRenderer(Renderer):
    """One line for every CVE with a suggestion to publish; the others are counted in `left_out`."""

    def render(self, prediction: Prediction) -> str:
        """Return one line, or nothing where there is no CVE ID, no suggestion, or a CWE of the CNA's."""
        cve_id = parse_cve_id(prediction.id)
        if cve_id is None:
            return self._leave_out("no CVE ID")
        if prediction.advisory and prediction.advisory.cwe_ids("cna") and not self.options.adp_always:
            return self._leave_out("the CNA assigned a CWE")
        entries = published_entries(prediction)
        if not entries:
            return self._leave_out("no suggestion" if prediction.decision is None else "no CWE assigned")
        provider: dict[str, str] = {"orgId": self.options.org_id or PLACEHOLDER_ORG_ID}
        if self.options.org_short_name:
            provider["shortName"] = self.options.org_short_name
        provider["dateUpdated"] = self.options.timestamp
        container: dict[str, Any] = {
            "providerMetadata": provider,
            "title": "CWE suggested by ctiforge" if prediction.decision is None else "CWE assigned in a review",
            "problemTypes": [{"descriptions": [_description(each)]} for each in entries],
            "x_generator": {"engine": f"ctiforge {self.options.version}".strip()},
            "x_ctiforge": _provenance(prediction, entries[0]),
        }
        record = {
            "dataType": "CVE_RECORD",
            "dataVersion": "5.1",
            "cveMetadata": {"cveId": cve_id},
            "containers": {"adp": [container]},
        }
        return json_text(record) + "\n"


def _description(entry: Suggestion) -> dict[str, str]:
    return {"lang": "en", "type": "CWE", "cweId": entry.cwe_id, "description": f"{entry.cwe_id} {entry.name}"}


def _provenance(prediction: Prediction, first: Suggestion) -> dict[str, Any]:
    decision = prediction.decision
    decided = {} if decision is None else {"verdict": decision.verdict, "decided_at": decision.at}
    return {
        **decided,
        "probability": round(float(first.probability), 4),
        "usage": first.usage,
        "model": prediction.model,
        "model_digest": prediction.model_digest,
        "cwe_version": prediction.cwe_version,
        "policy": prediction.policy,
    }
