"""NVD records: API 2.0 responses (https://nvd.nist.gov/developers/vulnerabilities) and the retired 1.1 JSON feeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ctiforge.core.advisory import Advisory, AssignedWeakness, CvssScore, Party, Reject, SourceRef
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.fields import as_dict, as_text, build_cvss, build_weaknesses, choose_english, dicts
from ctiforge.sources.rejects import build_reject

__all__ = ["build_nvd1", "build_nvd2"]

_NVD_SOURCE = "nvd@nist.gov"
_CISA_ADP_SOURCE = "134c704f-9b21-4f2e-91b3-4a467353bcc0"  # organisation ID of CISA's ADP container, as NVD shows it
_METRICS_2 = (("cvssMetricV40", "4.0"), ("cvssMetricV31", "3.1"), ("cvssMetricV30", "3.0"), ("cvssMetricV2", "2.0"))
_METRICS_1 = (("baseMetricV3", "cvssV3", "3.0"), ("baseMetricV2", "cvssV2", "2.0"))


def build_nvd2(record: dict[str, Any], source: SourceRef) -> Advisory | Reject:
    """Build an advisory from one entry of an API 2.0 response, with or without its ``cve`` wrapper.

    NVD's own weaknesses and scores are told from those of the CNA and of CISA by their ``source``. ``NVD-CWE-noinfo`` and
    ``NVD-CWE-Other`` are kept as text without a CWE ID.

    Returns:
        A `Reject` with ``cve_rejected`` for vulnStatus Rejected, ``missing_field`` without a CVE ID.
    """
    cve = record["cve"] if isinstance(record.get("cve"), dict) else record
    cve_id = parse_cve_id(as_text(cve.get("id")))
    if cve_id is None:
        return build_reject(source, "missing_field", f"cve.id is {cve.get('id')!r:.60}, not a CVE ID")
    status = as_text(cve.get("vulnStatus"))
    description = choose_english((text.get("lang"), text.get("value")) for text in dicts(cve.get("descriptions")))
    if status.lower() == "rejected":
        return build_reject(source, "cve_rejected", "vulnStatus is Rejected", id=cve_id, data=description.text)
    return Advisory(
        id=cve_id,
        source=source,
        description=description.text,
        weaknesses=tuple(_weaknesses_2(cve)),
        cvss=tuple(_cvss_2(cve)),
        kev_date_added=as_text(cve.get("cisaExploitAdd")),
        published=as_text(cve.get("published")),
        modified=as_text(cve.get("lastModified")),
        languages=description.languages,
    )


def _party(source: str) -> Party:
    if source == _NVD_SOURCE:
        return "nvd"
    return "adp" if source == _CISA_ADP_SOURCE else "cna"


def _weaknesses_2(cve: dict[str, Any]) -> Iterator[AssignedWeakness]:
    for weakness in dicts(cve.get("weaknesses")):
        assigner = as_text(weakness.get("source"))
        for entry in dicts(weakness.get("description")):
            yield from build_weaknesses(_party(assigner), entry.get("value"), assigner=assigner)


def _cvss_2(cve: dict[str, Any]) -> Iterator[CvssScore]:
    metrics = as_dict(cve.get("metrics"))
    for key, version in _METRICS_2:
        for metric in dicts(metrics.get(key)):
            if score := build_cvss(_party(as_text(metric.get("source"))), metric.get("cvssData"), version=version):
                yield score


def build_nvd1(record: dict[str, Any], source: SourceRef) -> Advisory | Reject:
    """Build an advisory from one ``CVE_Items`` entry of a 1.1 feed.

    Returns:
        A `Reject` with ``cve_rejected`` where the description starts with ``** REJECT **``, ``missing_field`` without ID.
    """
    cve = as_dict(record.get("cve"))
    given = as_dict(cve.get("CVE_data_meta")).get("ID")
    cve_id = parse_cve_id(as_text(given))
    if cve_id is None:
        return build_reject(source, "missing_field", f"cve.CVE_data_meta.ID is {given!r:.60}, not a CVE ID")
    texts = dicts(as_dict(cve.get("description")).get("description_data"))
    description = choose_english((text.get("lang"), text.get("value")) for text in texts)
    if description.text.startswith("** REJECT **"):
        return build_reject(source, "cve_rejected", "the description says ** REJECT **", id=cve_id, data=description.text)
    return Advisory(
        id=cve_id,
        source=source,
        description=description.text,
        weaknesses=tuple(_weaknesses_1(cve)),
        cvss=tuple(_cvss_1(as_dict(record.get("impact")))),
        published=as_text(record.get("publishedDate")),
        modified=as_text(record.get("lastModifiedDate")),
        languages=description.languages,
    )


def _weaknesses_1(cve: dict[str, Any]) -> Iterator[AssignedWeakness]:
    for problem_type in dicts(as_dict(cve.get("problemtype")).get("problemtype_data")):
        for entry in dicts(problem_type.get("description")):
            yield from build_weaknesses("nvd", entry.get("value"), assigner=_NVD_SOURCE)


def _cvss_1(impact: dict[str, Any]) -> Iterator[CvssScore]:
    for metric, key, version in _METRICS_1:
        if score := build_cvss("nvd", as_dict(impact.get(metric)).get(key), version=version):
            yield score
