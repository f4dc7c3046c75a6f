"""The nouns of MITRE ATT&CK, texts cleaned of citations and markup.

The STIX types and the ``x_mitre_`` properties are described in MITRE's
https://github.com/mitre-attack/attack-stix-data/blob/master/USAGE.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Analytic",
    "Asset",
    "AttackObject",
    "Campaign",
    "DataComponent",
    "DataSource",
    "DetectionStrategy",
    "Domain",
    "Group",
    "LogSource",
    "Mitigation",
    "Software",
    "Tactic",
    "Technique",
]

Domain = Literal["enterprise", "mobile", "ics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackObject:
    """What every ATT&CK object has.

    Attributes:
        id: ATT&CK's own identifier, e.g. ``T1055.011``.
        stix_id: identifier in the bundle.
        name, description: cleaned text; the description may be empty and has one line a paragraph.
        domains: where it belongs.
        created, modified: ISO 8601 days.
        version: the object's own version at MITRE, e.g. ``2.1``.
        source: path of the bundle it was read from.
        sha256: of the object as read, see `ctiforge.sources.stix.object_sha256`.
    """

    id: str
    stix_id: str
    name: str
    description: str
    domains: tuple[Domain, ...]
    created: str
    modified: str
    version: str
    source: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tactic(AttackObject):
    """The reason for an action; `shortname` is how techniques name it, e.g. ``defense-evasion``."""

    shortname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique(AttackObject):
    """How an adversary acts; a sub-technique where `is_subtechnique`.

    Attributes:
        platforms: as ATT&CK lists them, e.g. ``Windows``.
        detection: MITRE's prose on detection (before v18; later releases leave it empty).
        impact_types: for the tactic Impact, ``Availability`` or ``Integrity``.
        capec_ids: attack patterns that ATT&CK itself names.
    """

    platforms: tuple[str, ...] = ()
    is_subtechnique: bool = False
    detection: str = ""
    impact_types: tuple[str, ...] = ()
    capec_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigation(AttackObject):
    """A class of technologies or a configuration that prevents techniques."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(AttackObject):
    """A cluster of intrusions that is tracked by a name; `aliases` without the name itself."""

    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Software(AttackObject):
    """A program that adversaries use: `kind` is ``malware`` or ``tool``; `aliases` without the name itself."""

    kind: Literal["malware", "tool"]
    platforms: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign(AttackObject):
    """Intrusions over a period with common targets; `first_seen` and `last_seen` are ISO 8601 days."""

    aliases: tuple[str, ...] = ()
    first_seen: str = ""
    last_seen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset(AttackObject):
    """A kind of device in an industrial control system."""

    platforms: tuple[str, ...] = ()
    sectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource(AttackObject):
    """A subject of collection, such as process monitoring (deprecated by MITRE in v18)."""

    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogSource:
    """Where something is logged: `name` such as ``WinEventLog:Sysmon``, `channel` such as ``EventCode=1``."""

    name: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataComponent(AttackObject):
    """A value that a sensor can record, such as process creation."""

    log_sources: tuple[LogSource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionStrategy(AttackObject):
    """An approach to detect one technique; its analytics say how (since v18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analytic(AttackObject):
    """How to detect a technique on some platforms.

    Attributes:
        log_sources: identifier of a data component and where it is logged.
        mutable_elements: what a defender has to set: field and description.
    """

    platforms: tuple[str, ...] = ()
    log_sources: tuple[tuple[str, LogSource], ...] = ()
    mutable_elements: tuple[tuple[str, str], ...] = ()
