"""`OutputOptions`: everything a renderer may depend on besides the predictions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from ctiforge.core.errors import CtiforgeError, ExitCode

__all__ = ["TLP_LABELS", "OutputOptions", "OutputOptionsError", "TlpLabel"]

TlpLabel = Literal["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"]
"""Traffic Light Protocol 2.0 labels (https://www.first.org/tlp/)."""
TLP_LABELS: tuple[str, ...] = get_args(TlpLabel)

# The CVE Program takes version 4 UUIDs only (`uuidType` in the CVE Record Format), so the nil UUID would not do.
_UUID4 = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-4[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}")


class OutputOptionsError(CtiforgeError):
    """An output option has a value that the output format cannot carry."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What a user may choose about an output; a renderer reads neither the clock nor the environment.

    Attributes:
        generated_at: when the output is made (aware); written by formats that need a date (nvd, csaf, cve-adp).
        top_k: at most this many suggestions a record, in formats that carry several.
        explain: spell out every suggestion with its evidence (table); machine formats always carry the evidence they can.
        width: columns of the terminal (table); 80 to 160 look best, less than 72 is treated as 72.
        colour: write ANSI colours (table).
        ascii_only: write nothing outside ASCII (table), for terminals that cannot show more.
        org_id: the user's organisation as a version 4 UUID (cve-adp ``orgId``, nvd ``source``); None for a placeholder.
        org_short_name: the organisation's short name in the CVE Program (cve-adp); left out when empty.
        adp_always: cve-adp also where the CNA gave a CWE of its own; CISA's Vulnrichment adds one only where it gave none.
        publisher_name, publisher_namespace, tlp: who publishes a CSAF document, and who may see it.
        version: version of the program, for formats that name their generator.
        reviewed: every record has a person's decision; documents say so of themselves.

    Raises:
        OutputOptionsError: `org_id` is not a version 4 UUID, or `publisher_namespace` is not an http(s) URL.
        ValueError: `generated_at` is naive or `top_k` is below 1 (the caller's mistake).
    """

    generated_at: datetime
    top_k: int = 5
    explain: bool = False
    width: int = 100
    colour: bool = False
    ascii_only: bool = False
    org_id: str | None = None
    org_short_name: str = ""
    adp_always: bool = False
    publisher_name: str = "unnamed user of ctiforge"
    publisher_namespace: str = "https://ctiforge.invalid"
    tlp: TlpLabel = "AMBER+STRICT"
    version: str = ""
    reviewed: bool = False

    def __post_init__(self) -> None:
        if self.generated_at.tzinfo is None:
            raise ValueError("generated_at must carry a time zone")
        if self.top_k < 1:
            raise ValueError("top_k must be at least 1")
        if self.org_id is not None and not _UUID4.fullmatch(self.org_id):
            raise OutputOptionsError(
                f"organisation ID {self.org_id!r} is not a version 4 UUID",
                fix="pass the UUID that the CVE Program lists for your organisation, e.g. --org-id "
                "8f7c1f2e-0f5a-4c3b-9a55-3f6f0c2d1e4b",
            )
        if not re.fullmatch(r"https?://[^\s/?#]+[^\s]*", self.publisher_namespace):
            raise OutputOptionsError(
                f"publisher namespace {self.publisher_namespace!r} is not a URL",
                fix="pass a URL that your organisation controls, e.g. https://psirt.example.org",
            )

    @property
    def timestamp(self) -> str:
        """`generated_at` in UTC, as RFC 3339 to the second: ``2026-11-22T17:00:00Z``."""
        return self.generated_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
