"""Invented CVE Records for tests of triage, about which the tiny model has an opinion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

SQL = "SQL injection in the login allows attackers"
OVERFLOW = "buffer overflow write in the login allows attackers"
VAGUE = "nothing that anybody could know"


def cve(
    number: int,
    text: str = SQL,
    *,
    cna: tuple[str, ...] = (),
    adp: tuple[str, ...] = (),
    ssvc: tuple[str, str, str] | None = None,
    kev: str = "",
    score: float | None = None,
    published: str = "2099-02-01T00:00:00Z",
    modified: str = "2099-02-01T00:00:00Z",
) -> dict[str, Any]:
    """An invented CVE Record."""
    others: list[dict[str, Any]] = []
    if ssvc:
        names = ("Exploitation", "Automatable", "Technical Impact")
        options = [{name: value} for name, value in zip(names, ssvc, strict=True)]
        others.append({"other": {"type": "ssvc", "content": {"options": options}}})
    if kev:
        others.append({"other": {"type": "kev", "content": {"dateAdded": kev}}})
    if score is not None:
        others.append({"cvssV3_1": {"version": "3.1", "baseScore": score, "vectorString": "CVSS:3.1/AV:N"}})

    def types(ids: tuple[str, ...]) -> list[dict[str, Any]]:
        return [{"descriptions": [{"lang": "en", "type": "CWE", "cweId": each, "description": each}]} for each in ids]

    return {
        "dataType": "CVE_RECORD",
        "cveMetadata": {
            "cveId": f"CVE-2099-{number}", "state": "PUBLISHED", "datePublished": published, "dateUpdated": modified,
        },
        "containers": {
            "cna": {"descriptions": [{"lang": "en", "value": text}], "problemTypes": types(cna)},
            "adp": [{"providerMetadata": {"shortName": "CISA-ADP"}, "problemTypes": types(adp), "metrics": others}],
        },
    }  # fmt: skip


def write_feed(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path
