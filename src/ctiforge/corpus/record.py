"""`CorpusRecord`: one training example with where it came from and the way it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CorpusRecord", "RecordKind"]

RecordKind = Literal["rcm", "qa"]
"""``rcm``: a CVE description to its CWE. ``qa``: a question about a CTI object."""


@dataclass(frozen=True, slots=True)
class CorpusRecord:
    """One example.

    Attributes:
        id: unique in the corpus and the same in every build: it follows from kind, generator, source object and variant.
        kind, generator: what made it (``rcm``; ``qa/technique-mitigation``).
        prompt, completion: what is learnt; for chat, the user's and the assistant's message.
        text: the part that may be compared with a benchmark: the description, or the question with its options, without the
            instruction that many records share.
        label: the CWE ID, the gold letter, or empty.
        source_id: the object it is about (``CVE-2024-23848``, ``T1548.002``, ``CAPEC-66``, ``CWE-79``); empty for a text that
            came without one.
        source: the file, as the recipe names it; `source_sha256`: of the object's text as it was read.
        licence: of that file.
        party: who assigned the label (``cna``, ``adp``, ``nvd``), empty where that means nothing.
        date: ISO 8601 day of the source object's publication, empty if unknown.
        steps: the way it took: names of filters and changes that touched it, in order.
        metadata: what else is known, JSON values only.
    """

    id: str
    kind: RecordKind
    generator: str
    prompt: str
    completion: str
    text: str
    label: str
    source_id: str
    source: str
    source_sha256: str
    licence: str
    party: str = ""
    date: str = ""
    steps: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
