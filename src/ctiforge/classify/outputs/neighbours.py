"""Similar past CVEs and rare entries as words for people."""

from __future__ import annotations

from ctiforge.classify.outputs.assigned import PARTY_NAMES
from ctiforge.classify.prediction import SimilarCve

__all__ = ["assigned_text", "similarity_text"]


def assigned_text(similar: SimilarCve) -> str:
    """Return what the parties of a past CVE assigned, one CWE once: ``CWE-79 (CNA, NVD), CWE-80 (ADP)``."""
    parties: dict[str, list[str]] = {}
    for party, cwe_id in similar.assigned:
        parties.setdefault(cwe_id, []).append(PARTY_NAMES[party])
    return ", ".join(f"{cwe_id} ({', '.join(dict.fromkeys(names))})" for cwe_id, names in parties.items())


def similarity_text(similarity: float) -> str:
    """Return ``0.87``; never ``1.00`` for two texts that differ."""
    return f"{min(similarity, 0.99):.2f}"
