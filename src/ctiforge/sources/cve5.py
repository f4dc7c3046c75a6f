"""CVE Record JSON 5.0, 5.1 and 5.2 (https://cveproject.github.io/cve-schema/), CNA and ADP containers kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ctiforge.core.advisory import Advisory, AssignedWeakness, CvssScore, Party, Reject, SourceRef, Ssvc
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.fields import as_dict, as_list, as_text, build_cvss, build_weaknesses, choose_english, dicts, unique
from ctiforge.sources.rejects import build_reject

__all__ = ["build_cve5"]

_CVSS_KEYS = (("cvssV4_0", "4.0"), ("cvssV3_1", "3.1"), ("cvssV3_0", "3.0"), ("cvssV2_0", "2.0"))


def build_cve5(record: dict[str, Any], source: SourceRef) -> Advisory | Reject:
    """Build an advisory from one CVE Record.

    The description is the CNA's; an ADP's stands in only where the CNA wrote none in English. Metrics of type ``ssvc``
    and ``kev`` are those that CISA's ADP container carries under ``other``.

    Returns:
        A `Reject` with ``cve_rejected`` for state REJECTED, ``missing_field`` where there is no CVE ID or no container.
    """
    metadata = as_dict(record.get("cveMetadata"))
    cve_id = parse_cve_id(as_text(metadata.get("cveId")))
    containers = as_dict(record.get("containers"))
    cna = as_dict(containers.get("cna"))
    adps = list(dicts(containers.get("adp")))
    if cve_id is None:
        return build_reject(source, "missing_field", f"cveMetadata.cveId is {metadata.get('cveId')!r:.60}, not a CVE ID")
    state = as_text(metadata.get("state")).upper() or "PUBLISHED"
    if state == "REJECTED":
        why = choose_english((reason.get("lang"), reason.get("value")) for reason in dicts(cna.get("rejectedReasons")))
        return build_reject(source, "cve_rejected", "the CVE's state is REJECTED", id=cve_id, data=why.text)
    if not cna and not adps:
        return build_reject(source, "missing_field", "the record has neither a CNA nor an ADP container", id=cve_id)
    description = choose_english((text.get("lang"), text.get("value")) for text in dicts(cna.get("descriptions")))
    if not description.text:
        others = choose_english(
            (text.get("lang"), text.get("value")) for adp in adps for text in dicts(adp.get("descriptions"))
        )
        if others.text:
            description = others
    parties: list[tuple[Party, dict[str, Any]]] = [("cna", cna), *(("adp", adp) for adp in adps)]
    return Advisory(
        id=cve_id,
        source=source,
        description=description.text,
        title=as_text(cna.get("title")),
        aliases=_aliases(cna, cve_id),
        weaknesses=tuple(weakness for party, container in parties for weakness in _weaknesses(party, container)),
        cvss=tuple(score for party, container in parties for score in _cvss(party, container)),
        ssvc=_ssvc(adps) or _ssvc([cna]),
        kev_date_added=_kev_date(adps),
        published=as_text(metadata.get("datePublished")) or as_text(cna.get("datePublic")),
        modified=as_text(metadata.get("dateUpdated")),
        languages=description.languages,
        state=state,
    )


def _aliases(cna: dict[str, Any], cve_id: str) -> tuple[str, ...]:
    advisory = as_dict(cna.get("source")).get("advisory")
    values = advisory if isinstance(advisory, list) else [advisory]
    return unique((as_text(value) for value in values), without=cve_id)


def _weaknesses(party: Party, container: dict[str, Any]) -> Iterator[AssignedWeakness]:
    problem_types = as_list(container.get("problemTypes"))
    if not problem_types:
        return
    assigner = as_text(as_dict(container.get("providerMetadata")).get("shortName"))
    for problem_type in dicts(problem_types):
        for entry in dicts(problem_type.get("descriptions")):
            cwe_id = entry.get("cweId", entry.get("cweid"))
            yield from build_weaknesses(party, entry.get("description"), cwe_id=cwe_id, assigner=assigner)


def _cvss(party: Party, container: dict[str, Any]) -> Iterator[CvssScore]:
    for metric in dicts(container.get("metrics")):
        for key, version in _CVSS_KEYS:
            if key in metric and (score := build_cvss(party, metric[key], version=version)):
                yield score


def _others(containers: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    for container in containers:
        for metric in dicts(container.get("metrics")):
            other = metric.get("other")
            if isinstance(other, dict) and other.get("type") == kind:
                yield as_dict(other.get("content"))


def _ssvc(containers: list[dict[str, Any]]) -> Ssvc | None:
    for content in _others(containers, "ssvc"):
        options = content.get("options")
        pairs = options.items() if isinstance(options, dict) else (pair for one in dicts(options) for pair in one.items())
        return Ssvc(
            tuple((name, as_text(value)) for name, value in pairs),
            role=as_text(content.get("role")),
            timestamp=as_text(content.get("timestamp")),
        )
    return None


def _kev_date(containers: list[dict[str, Any]]) -> str:
    return next((as_text(content.get("dateAdded")) for content in _others(containers, "kev")), "")
