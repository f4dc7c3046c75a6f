"""`Weakness`: one CWE entry, facts only (no text of MITRE's beyond names, rationales and suggestions)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Abstraction", "MappingUsage", "SuggestedMapping", "SuggestionSource", "Weakness"]

MappingUsage = Literal["Allowed", "Allowed-with-Review", "Discouraged", "Prohibited"]
"""MITRE's mapping usage (https://cwe.mitre.org/documents/cwe_usage/guidance.html)."""

Abstraction = Literal["Pillar", "Class", "Base", "Variant", "Compound", "Category", "View"]
"""Level of an entry; categories and views are known so that they can be refused by name."""

SuggestionSource = Literal["suggestion", "comment", "description"]
"""Where MITRE names the other entry: in ``Mapping_Notes/Suggestions``, in the words of ``Mapping_Notes/Comments``, or in the
description of a deprecated entry (what replaced it)."""


@dataclass(frozen=True, slots=True)
class SuggestedMapping:
    """An entry that MITRE names instead, with its comment (given only in ``Mapping_Notes/Suggestions``)."""

    cwe_id: str
    comment: str = ""
    source: SuggestionSource = "suggestion"


@dataclass(frozen=True, slots=True)
class Weakness:
    """One CWE entry.

    Attributes:
        cwe_id: ``CWE-79``.
        name: MITRE's name.
        abstraction: level; ``Category`` and ``View`` entries are not weaknesses and can never be mapped to.
        status: ``Stable``, ``Draft``, ``Incomplete``, ``Deprecated``, ``Obsolete``.
        usage: mapping usage; deprecated entries, categories and views are ``Prohibited``.
        rationale: MITRE's reason for the usage, short.
        suggestions: entries MITRE names instead.
        parents: ChildOf targets in View-1000 (Research Concepts), primary first.
        can_precede, can_follow: the next and the previous links of known chains; `can_follow` is read from the other side,
            because MITRE's XML states only CanPrecede.
        peers: PeerOf, from both sides.
        views: identifiers of the views the entry belongs to, e.g. ``("CWE-1003",)``.
        requires: the parts of a composite (``Requires``).
        chain: the links of a named chain, in order (``StartsWith``, then the CanPrecede that carry its ``Chain_ID``).
        terms: alternate terms that MITRE lists, e.g. ``("XSS",)``.
    """

    cwe_id: str
    name: str
    abstraction: Abstraction
    status: str
    usage: MappingUsage
    rationale: str = ""
    suggestions: tuple[SuggestedMapping, ...] = ()
    parents: tuple[str, ...] = ()
    can_precede: tuple[str, ...] = ()
    can_follow: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
