"""From STIX objects to the nouns of ATT&CK; nothing here knows of files or of other objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from ctiforge.sources.attack_objects import (
    Analytic,
    Asset,
    AttackObject,
    Campaign,
    DataComponent,
    DataSource,
    DetectionStrategy,
    Domain,
    Group,
    LogSource,
    Mitigation,
    Software,
    Tactic,
    Technique,
)
from ctiforge.sources.markup import clean_markup
from ctiforge.sources.stix import external_references, object_sha256, strings

__all__ = ["ATTACK_TYPES", "DOMAIN_OF_KILL_CHAIN", "attack_id", "build_object"]

_ID_SOURCES: Final = ("mitre-attack", "mitre-mobile-attack", "mitre-ics-attack")
_DOMAINS: Final = {"enterprise-attack": "enterprise", "mobile-attack": "mobile", "ics-attack": "ics"}


def attack_id(each: dict[str, Any]) -> str:
    """Return ATT&CK's identifier of a STIX object, or an empty string."""
    return next(iter(external_references(each, *_ID_SOURCES)), "")


def build_object(each: dict[str, Any], path: str) -> AttackObject | None:
    """Return the typed object, or None for a STIX type that is not ATT&CK's or an object without an identifier or a name."""
    build = _BUILDERS.get(each["type"])
    identifier, name = attack_id(each), each.get("name")
    if build is None or not identifier or not isinstance(name, str) or not name.strip():
        return None
    shared = {
        "id": identifier,
        "stix_id": each["id"],
        "name": clean_markup(name),
        "description": clean_markup(_text(each, "description")),
        "domains": tuple(_DOMAINS[name] for name in strings(each.get("x_mitre_domains")) if name in _DOMAINS),
        "created": _text(each, "created")[:10],
        "modified": _text(each, "modified")[:10],
        "version": _text(each, "x_mitre_version"),
        "source": path,
        "sha256": object_sha256(each),
    }
    return build(each, shared)


def _text(each: dict[str, Any], key: str) -> str:
    value = each.get(key)
    return value if isinstance(value, str) else ""


def _aliases(each: dict[str, Any], key: str) -> tuple[str, ...]:
    own = _text(each, "name").casefold()
    return tuple(dict.fromkeys(alias for alias in strings(each.get(key)) if alias.casefold() != own))


def _platforms(each: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in strings(each.get("x_mitre_platforms")) if name != "None")


def _technique(each: dict[str, Any], shared: dict[str, Any]) -> AttackObject:
    return Technique(
        **shared,
        platforms=_platforms(each),
        is_subtechnique=bool(each.get("x_mitre_is_subtechnique")),
        detection=clean_markup(_text(each, "x_mitre_detection")),
        impact_types=strings(each.get("x_mitre_impact_type")),
        capec_ids=external_references(each, "capec"),
    )


def _software(each: dict[str, Any], shared: dict[str, Any]) -> AttackObject:
    kind = "malware" if each["type"] == "malware" else "tool"
    return Software(**shared, kind=cast(Any, kind), platforms=_platforms(each), aliases=_aliases(each, "x_mitre_aliases"))


def _campaign(each: dict[str, Any], shared: dict[str, Any]) -> AttackObject:
    return Campaign(
        **shared,
        aliases=_aliases(each, "aliases"),
        first_seen=_text(each, "first_seen")[:10],
        last_seen=_text(each, "last_seen")[:10],
    )


def _log_source(entry: dict[str, Any]) -> LogSource:
    channel = _text(entry, "channel")
    return LogSource(_text(entry, "name"), "" if channel == "None" else channel)


def _entries(each: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = each.get(key)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _analytic(each: dict[str, Any], shared: dict[str, Any]) -> AttackObject:
    return Analytic(
        **shared,
        platforms=_platforms(each),
        log_sources=tuple(
            (_text(entry, "x_mitre_data_component_ref"), _log_source(entry))
            for entry in _entries(each, "x_mitre_log_source_references")
        ),
        mutable_elements=tuple(
            (_text(entry, "field"), clean_markup(_text(entry, "description")))
            for entry in _entries(each, "x_mitre_mutable_elements")
        ),
    )


_BUILDERS: Final[dict[str, Callable[[dict[str, Any], dict[str, Any]], AttackObject]]] = {
    "attack-pattern": _technique,
    "campaign": _campaign,
    "course-of-action": lambda each, shared: Mitigation(**shared),
    "intrusion-set": lambda each, shared: Group(**shared, aliases=_aliases(each, "aliases")),
    "malware": _software,
    "tool": _software,
    "x-mitre-analytic": _analytic,
    "x-mitre-asset": lambda each, shared: Asset(
        **shared, platforms=_platforms(each), sectors=strings(each.get("x_mitre_sectors"))
    ),
    "x-mitre-data-component": lambda each, shared: DataComponent(
        **shared, log_sources=tuple(_log_source(entry) for entry in _entries(each, "x_mitre_log_sources"))
    ),
    "x-mitre-data-source": lambda each, shared: DataSource(**shared, platforms=_platforms(each)),
    "x-mitre-detection-strategy": lambda each, shared: DetectionStrategy(**shared),
    "x-mitre-tactic": lambda each, shared: Tactic(**shared, shortname=_text(each, "x_mitre_shortname")),
}

ATTACK_TYPES: Final = tuple(_BUILDERS)
"""The STIX types that become objects."""

DOMAIN_OF_KILL_CHAIN: Final[dict[str, Domain]] = {
    "mitre-attack": "enterprise",
    "mitre-mobile-attack": "mobile",
    "mitre-ics-attack": "ics",
}
"""Kill chain names in ``kill_chain_phases`` to domains."""
