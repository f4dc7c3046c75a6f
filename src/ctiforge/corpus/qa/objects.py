"""The objects that questions are made about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctiforge.core.advisory import Advisory
from ctiforge.sources.attack import AttackCatalogue
from ctiforge.sources.capec import CapecCatalogue
from ctiforge.sources.cwe_texts import CweTexts

__all__ = ["QaObjects"]


@dataclass(frozen=True, slots=True)
class QaObjects:
    """What there is to ask about; generators that need something that is None make nothing.

    Attributes:
        advisories: CVE records; those without a CVE ID are passed over.
        advisory_licence: of their texts, as the recipe states it.
    """

    attack: AttackCatalogue | None = None
    capec: CapecCatalogue | None = None
    weaknesses: CweTexts | None = None
    advisories: Sequence[Advisory] = ()
    advisory_licence: str = ""
