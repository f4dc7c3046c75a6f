"""``nvd``: the envelope of an NVD API 2.0 response with ``cve.id`` and ``cve.weaknesses`` for every CVE.

Field names follow NVD's published schema (``cve_api_json_2.0.schema``); what only NVD knows (CVSS, references, dates) is not
invented, so the items are an overlay for a record that the user has, not a replacement. The suggestion stands as
``Secondary``, since ``Primary`` is NVD's own. An abstention has an empty list: ``NVD-CWE-noinfo`` is NVD's to say.
"""

from __future__ import annotations

from typing import Any

from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.prediction import Prediction
from ctiforge.core.ids import parse_cve_id

__all__ = ["NvdRenderer"]


class NvdRenderer(Renderer):
    """One document; ``resultsPerPage`` and ``totalResults`` come last, when they are known."""

    def __init__(self, options: OutputOptions) -> None:
        super().__init__(options)
        self._count = 0

    def begin(self) -> str:
        """Return the head of the response."""
        timestamp = self.options.timestamp.removesuffix("Z") + ".000"  # NVD's own spelling: UTC without a zone
        return f'{{"format":"NVD_CVE","version":"2.0","timestamp":"{timestamp}","vulnerabilities":['

    def render(self, prediction: Prediction) -> str:
        """Return one element, or nothing where there is no CVE ID."""
        cve_id = parse_cve_id(prediction.id)
        if cve_id is None:
            return self._leave_out("no CVE ID")
        weaknesses: list[dict[str, Any]] = []
        if cwe_ids := _entries(prediction):
            weaknesses.append(
                {
                    "source": self.options.org_id or "ctiforge",
                    "type": "Secondary",
                    "description": [{"lang": "en", "value": each} for each in cwe_ids],
                }
            )
        separator = ",\n" if self._count else "\n"
        self._count += 1
        return separator + json_text({"cve": {"id": cve_id, "weaknesses": weaknesses}})

    def end(self) -> str:
        """Return the tail with the counts."""
        return f'\n],"resultsPerPage":{self._count},"startIndex":0,"totalResults":{self._count}}}\n'


def _entries(prediction: Prediction) -> tuple[str, ...]:
    if prediction.decision is not None:
        return prediction.decision.cwe_ids
    return () if prediction.abstained else tuple(each.cwe_id for each in prediction.suggestions[:1])
