"""CSAF 2.0 and 2.1 documents (OASIS Common Security Advisory Framework, sections 3.2.1 and 3.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ctiforge.core.advisory import Advisory, AssignedWeakness, CvssScore, Reject, SourceRef
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.fields import LocalText, as_dict, as_list, as_text, build_cvss, build_weaknesses, dicts, unique
from ctiforge.sources.rejects import build_reject

__all__ = ["build_csaf"]

_NOTE_ORDER = ("description", "summary", "details", "general", "other")
_CVSS_KEYS = (("cvss_v4", "4.0"), ("cvss_v3", "3.1"), ("cvss_v2", "2.0"))


def build_csaf(record: dict[str, Any], source: SourceRef) -> list[Advisory | Reject]:
    """Build one advisory for each vulnerability of a document.

    The text is the longest note of the best category that the vulnerability has (description, summary, details, general,
    other), else the document's own note. Notes are in ``document.lang``; where that is not English the description stays
    empty and `languages` says which language it is.

    Returns:
        Advisories, and a `Reject` with ``missing_field`` for a document or entry that has nothing to read.
    """
    document = as_dict(record.get("document"))
    vulnerabilities = as_list(record.get("vulnerabilities"))
    tracking_id = as_text(as_dict(document.get("tracking")).get("id"))
    if not vulnerabilities:
        return [build_reject(source, "missing_field", "the CSAF document lists no vulnerabilities", id=tracking_id)]
    return [_build_one(entry, number, document, source) for number, entry in enumerate(vulnerabilities, 1)]


def _build_one(entry: Any, number: int, document: dict[str, Any], source: SourceRef) -> Advisory | Reject:
    tracking = as_dict(document.get("tracking"))
    tracking_id = as_text(tracking.get("id"))
    if not isinstance(entry, dict):
        detail = f"vulnerabilities[{number - 1}] is not an object"
        return build_reject(source, "missing_field", detail, id=tracking_id, data=repr(entry)[:200])
    other_ids = [as_text(one.get("text")) for one in dicts(entry.get("ids"))]
    cve_id = parse_cve_id(as_text(entry.get("cve")))
    native = cve_id or next((name for name in other_ids if name), "") or f"{tracking_id or source}#{number}"
    text = _choose_text(entry, document)
    return Advisory(
        id=native,
        source=source,
        description=text.text,
        title=as_text(entry.get("title")) or as_text(document.get("title")),
        aliases=unique([*other_ids, tracking_id], without=native),
        weaknesses=tuple(_weaknesses(entry, as_text(as_dict(document.get("publisher")).get("name")))),
        cvss=tuple(_cvss(entry)),
        published=as_text(entry.get("release_date")) or as_text(tracking.get("initial_release_date")),
        modified=as_text(tracking.get("current_release_date")),
        languages=text.languages,
    )


def _choose_text(entry: dict[str, Any], document: dict[str, Any]) -> LocalText:
    text = _best_note(entry.get("notes")) or _best_note(document.get("notes"))
    lang = as_text(document.get("lang")) or "en"
    if not text:
        return LocalText("", ())
    return LocalText(text if lang[:2].lower() == "en" else "", (lang,))


def _best_note(notes: Any) -> str:
    by_category: dict[str, str] = {}
    for note in dicts(notes):
        category, text = as_text(note.get("category")).lower(), as_text(note.get("text"))
        if len(text) > len(by_category.get(category, "")):
            by_category[category] = text
    return next((by_category[category] for category in _NOTE_ORDER if category in by_category), "")


def _weaknesses(entry: dict[str, Any], assigner: str) -> Iterator[AssignedWeakness]:
    for cwe in [entry.get("cwe"), *as_list(entry.get("cwes"))]:
        if isinstance(cwe, dict):
            yield from build_weaknesses("csaf", cwe.get("name"), cwe_id=cwe.get("id"), assigner=assigner)


def _cvss(entry: dict[str, Any]) -> Iterator[CvssScore]:
    # 2.0 has `scores[]`, 2.1 has `metrics[].content`; one score a product group, so equal ones are shown once.
    seen: set[CvssScore] = set()
    groups = [*dicts(entry.get("scores")), *(as_dict(metric.get("content")) for metric in dicts(entry.get("metrics")))]
    for group in groups:
        for key, version in _CVSS_KEYS:
            score = build_cvss("csaf", group.get(key), version=version)
            if score and score not in seen:
                seen.add(score)
                yield score
