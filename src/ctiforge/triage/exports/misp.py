"""``misp``: a MISP event with a vulnerability object for every decision and a weakness object for every CWE entry.

Object templates: vulnerability version 12, weakness version 1 (https://github.com/MISP/misp-objects). A server takes only
CVE IDs and the like as identifiers, and no empty values; any other identifier stands in the summary. The event is for the own
organisation only (distribution 0) until somebody publishes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.classify.outputs.plain_text import one_line, printable_lines
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.outputs.sentences import decision_sentence
from ctiforge.classify.prediction import Prediction, Suggestion
from ctiforge.core.ids import parse_cve_id
from ctiforge.triage.exports.json_list import JsonListRenderer, stable_uuid

__all__ = ["MispRenderer"]

_VULNERABILITY = ("vulnerability", "81650945-f186-437b-8945-9f31715d32da", "12")
_WEAKNESS = ("weakness", "b8713fc0-d7a2-4b27-a182-38ed47966802", "1")
_CATEGORIES = {"vulnerability": "External analysis", "weakness": "External analysis"}


class MispRenderer(JsonListRenderer):
    """A weakness object is written once, before the first vulnerability that refers to it."""

    def __init__(self, options: OutputOptions) -> None:
        super().__init__(options)
        self._weaknesses: set[str] = set()

    def head(self) -> str:
        """Return the event's opening."""
        event = {
            "uuid": stable_uuid("event", self.options.timestamp),
            "info": "Reviewed CWE assignments",
            "date": self.options.timestamp[:10],
            "threat_level_id": "4",
            "analysis": "2",
            "distribution": "0",
        }
        return f'{{"Event":{json_text(event)[:-1]},"Object":['

    def elements(self, prediction: Prediction) -> Iterable[dict[str, Any]]:
        """Return new weakness objects and the vulnerability object."""
        decision = prediction.decision
        assert decision is not None
        entries = prediction.suggestions[: len(decision.cwe_ids)]
        for entry in entries:
            if entry.cwe_id not in self._weaknesses:
                self._weaknesses.add(entry.cwe_id)
                yield _weakness(entry)
        cve_id, sentence = parse_cve_id(prediction.id), decision_sentence(decision)
        values = [("id", "vulnerability", cve_id)] if cve_id else []
        values.append(("summary", "text", sentence if cve_id else f"{prediction.id}: {sentence}"))
        if text := printable_lines(prediction.text).strip():
            values.append(("description", "text", text))
        for score in prediction.advisory.cvss if prediction.advisory else ():
            if score.base_score is not None:
                values.append(("cvss-score", "float", f"{score.base_score:.1f}"))
                if vector := one_line(score.vector):
                    values.append(("cvss-string", "text", vector))
                break
        vulnerability = _object(_VULNERABILITY, prediction.id, values)
        vulnerability["ObjectReference"] = [
            {
                "uuid": stable_uuid("reference", prediction.id, entry.cwe_id),
                "object_uuid": vulnerability["uuid"],
                "referenced_uuid": stable_uuid("weakness", entry.cwe_id),
                "relationship_type": "related-to",
            }
            for entry in entries
        ]
        yield vulnerability

    def tail(self) -> str:
        """Return the event's end."""
        return "]}}"


def _weakness(entry: Suggestion) -> dict[str, Any]:
    return _object(_WEAKNESS, entry.cwe_id, [("id", "weakness", entry.cwe_id), ("name", "text", entry.name)])


def _object(template: tuple[str, str, str], key: str, values: list[tuple[str, str, str]]) -> dict[str, Any]:
    name, template_uuid, version = template
    return {
        "name": name,
        "meta-category": "vulnerability",
        "template_uuid": template_uuid,
        "template_version": version,
        "uuid": stable_uuid(name, key),
        "distribution": "5",
        "Attribute": [
            {
                "uuid": stable_uuid(name, key, relation),
                "object_relation": relation,
                "type": kind,
                "category": _CATEGORIES.get(kind, "Other"),
                "to_ids": False,
                "value": value,
            }
            for relation, kind, value in values
        ],
    }
