"""``cyclonedx``: a CycloneDX 1.6 VEX document; its analysis stays ``in_triage``, since a CWE says nothing of whether one
is affected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ctiforge.classify.outputs.plain_text import one_line, printable_lines
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.outputs.sentences import decision_sentence
from ctiforge.classify.prediction import Prediction
from ctiforge.core.advisory import CvssScore
from ctiforge.core.ids import cwe_number
from ctiforge.triage.exports.json_list import JsonListRenderer, stable_uuid

__all__ = ["CycloneDxRenderer"]

_METHODS: Final = {"2.0": "CVSSv2", "3.0": "CVSSv3", "3.1": "CVSSv31", "4.0": "CVSSv4"}


class CycloneDxRenderer(JsonListRenderer):
    """One vulnerability a decision."""

    def head(self) -> str:
        """Return the document's opening."""
        tool = {
            "type": "application",
            "name": "ctiforge",
            **({"version": self.options.version} if self.options.version else {}),
        }
        document = {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{stable_uuid('bom', self.options.timestamp)}",
            "version": 1,
            "metadata": {"timestamp": self.options.timestamp, "tools": {"components": [tool]}},
        }
        return f'{json_text(document)[:-1]},"vulnerabilities":['

    def elements(self, prediction: Prediction) -> Iterable[dict[str, Any]]:
        """Return one vulnerability."""
        decision = prediction.decision
        assert decision is not None
        scores = prediction.advisory.cvss if prediction.advisory else ()
        item: dict[str, Any] = {
            "bom-ref": stable_uuid("vulnerability", prediction.id),
            "id": prediction.id,
            "description": printable_lines(prediction.text),
            "ratings": [_rating(each) for each in scores if each.base_score is not None],
            "cwes": [cwe_number(each) for each in decision.cwe_ids],
            "updated": decision.at,
            "analysis": {"state": "in_triage", "detail": decision_sentence(decision)},
        }
        yield {name: value for name, value in item.items() if value}

    def tail(self) -> str:
        """Return the document's end."""
        return "]}"


def _rating(score: CvssScore) -> dict[str, Any]:
    rating = {"score": score.base_score, "method": _METHODS.get(score.version, "other")}
    vector = one_line(score.vector)
    return rating | {"vector": vector} if vector else rating
