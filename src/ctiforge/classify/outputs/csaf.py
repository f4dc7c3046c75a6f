"""``csaf``: a CSAF 2.1 document (profile CSAF Base) with ``cwes[]`` for every vulnerability.

The document is a draft (``tracking.status`` ``draft``, version 0.1.0: section 6.1.17), because nobody has reviewed it.
Only the best entry that MITRE allows for mapping goes into ``cwes[]``, with MITRE's name for it (section 6.1.11) and the CWE
version; its probability, the other candidates, an abstention's reason and what other parties assigned go into a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ctiforge.classify.outputs.assigned import compare_assigned
from ctiforge.classify.outputs.mappable import best_mappable, published_entries
from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.classify.outputs.plain_text import one_line
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.outputs.sentences import (
    abstain_sentence,
    decision_sentence,
    prefer_text,
    probability_text,
    ranking_text,
)
from ctiforge.classify.prediction import Prediction
from ctiforge.core.ids import parse_cve_id

__all__ = ["CSAF_SCHEMA_URL", "CsafRenderer"]

CSAF_SCHEMA_URL = "https://docs.oasis-open.org/csaf/csaf/v2.1/schema/csaf.json"
"""The value that every CSAF 2.1 document must carry as ``$schema``."""


class CsafRenderer(Renderer):
    """One document; valid with no vulnerability at all, since the list opens with the first one."""

    def __init__(self, options: OutputOptions) -> None:
        super().__init__(options)
        self._opened = False
        self._seen: set[str] = set()

    def begin(self) -> str:
        """Return the document-level metadata."""
        return f'{{"$schema":{json_text(CSAF_SCHEMA_URL)},\n"document":{json_text(_document(self.options))}'

    def render(self, prediction: Prediction) -> str:
        """Return one vulnerability, or nothing for a CVE that the document already has (section 6.1.23)."""
        cve_id = parse_cve_id(prediction.id)
        if cve_id is not None:
            if cve_id in self._seen:
                return self._leave_out("CVE ID already in the document")
            self._seen.add(cve_id)
        separator = ",\n" if self._opened else ',\n"vulnerabilities":[\n'
        self._opened = True
        return separator + json_text(_vulnerability(prediction, cve_id, self.options.top_k))

    def end(self) -> str:
        """Return what closes the document."""
        return "\n]}\n" if self._opened else "}\n"


@dataclass(frozen=True, slots=True)
class _Wording:
    """What a document says of itself (section 6.1.17: version 0 is for drafts)."""

    title: str
    note: tuple[str, str]
    summary: str
    status: str
    version: str


_SUGGESTED: Final = _Wording(
    "CWE suggestions by ctiforge",
    ("Not reviewed", "The CWE entries are suggestions of a statistical model, advisory until a person reviews them."),
    "Suggestions, not yet reviewed.",
    "draft",
    "0.1.0",
)
_REVIEWED: Final = _Wording(
    "Reviewed CWE assignments",
    ("Reviewed", "A person decided on every CWE entry, with the suggestion of a statistical model in view."),
    "Reviewed assignments.",
    "final",
    "1",
)


def _document(options: OutputOptions) -> dict[str, Any]:
    wording = _REVIEWED if options.reviewed else _SUGGESTED
    released = options.timestamp
    engine = {"name": "ctiforge", "version": options.version} if options.version else {"name": "ctiforge"}
    return {
        "category": "csaf_base",
        "csaf_version": "2.1",
        "distribution": {"tlp": {"label": options.tlp}},
        "lang": "en",
        "notes": [{"category": "general", "title": wording.note[0], "text": wording.note[1]}],
        "publisher": {"category": "other", "name": options.publisher_name, "namespace": options.publisher_namespace},
        "title": wording.title,
        "tracking": {
            "current_release_date": released,
            "generator": {"date": released, "engine": engine},
            "id": f"ctiforge-{released.replace('-', '').replace(':', '')}",
            "initial_release_date": released,
            "revision_history": [{"date": released, "number": wording.version, "summary": wording.summary}],
            "status": wording.status,
            "version": wording.version,
        },
    }


def _vulnerability(prediction: Prediction, cve_id: str | None, top_k: int) -> dict[str, Any]:
    item: dict[str, Any] = {}
    if cve_id is not None:
        item["cve"] = cve_id
    else:
        item["ids"] = [{"system_name": "identifier in the input", "text": one_line(prediction.id) or "unnamed"}]
    if entries := published_entries(prediction):
        item["cwes"] = [{"id": each.cwe_id, "name": each.name, "version": prediction.cwe_version} for each in entries]
    title = "CWE suggestion" if prediction.decision is None else "CWE review"
    item["notes"] = [{"category": "other", "title": title, "text": _note(prediction, top_k)}]
    if prediction.advisory and (title := one_line(prediction.advisory.title)):
        item["title"] = title
    return item


def _note(prediction: Prediction, top_k: int) -> str:
    sentences = []
    decision = prediction.decision
    best = best_mappable(prediction)
    if decision is not None:
        sentences.append(decision_sentence(decision))
    elif best is None:
        sentences.append(
            f"No CWE suggested. {abstain_sentence(prediction) or 'No entry that MITRE allows for mapping was found.'}"
        )
    else:
        sentences.append(f"{best.cwe_id} suggested with probability {probability_text(best.probability)} ({best.usage}).")
        if best.evidence:
            sentences.append("Evidence: " + "; ".join(f"“{one_line(span.text, 80)}”" for span in best.evidence[:3]) + ".")
    named = decision.cwe_ids if decision is not None else (best.cwe_id,) if best is not None else ()
    others = [each for each in prediction.suggestions[:top_k] if each.cwe_id not in named]
    if others:
        sentences.append(f"Also weighed: {ranking_text(others)}.")
    for each in prediction.discouraged[:top_k]:
        sentences.append(f"The text points to {each.cwe_id}, discouraged by MITRE: {prefer_text(each)}.")
    views = [f"{view.name} {view.label}" for view in compare_assigned(prediction)]
    if views:
        sentences.append(f"Assigned by others: {'; '.join(views)}.")
    sentences.append(
        f"Model {prediction.model}, digest {prediction.model_digest}, CWE {prediction.cwe_version}, policy {prediction.policy}."
    )
    return " ".join(sentences)
