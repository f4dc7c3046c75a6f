"""CAPEC as MITRE's STIX bundle: attack patterns with ``x_capec_`` properties, mitigations as courses of action."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final

from ctiforge.core.errors import InputError
from ctiforge.core.ids import parse_cwe_id
from ctiforge.sources.capec_objects import AttackPattern, CapecContents, PatternConsequence
from ctiforge.sources.markup import clean_markup
from ctiforge.sources.relations import TypedRelation
from ctiforge.sources.stix import StixBundle, external_references, is_withdrawn, load_bundle, object_sha256, strings

__all__ = ["FIX", "read_capec_bundle"]

FIX: Final = (
    "give stix-capec.json from https://github.com/mitre/cti/tree/master/capec/2.1, or the XML from "
    "https://capec.mitre.org/data/ (plain, .xz, .gz or .zip)"
)
_WITHDRAWN: Final = ("deprecated", "obsolete")
_REFERENCES: Final = (
    ("x_capec_child_of_refs", "child-of", False),
    ("x_capec_parent_of_refs", "child-of", True),
    ("x_capec_can_precede_refs", "can-precede", False),
    ("x_capec_can_follow_refs", "can-precede", True),
    ("x_capec_peer_of_refs", "peer-of", False),
)
_IMPACT = re.compile(r"([^()]+?)\s*\((.+)\)\s*", re.DOTALL)
_HEADING = re.compile(r"<(?:h2|th)\b[^>]*>.*?</(?:h2|th)>", re.DOTALL)


def read_capec_bundle(path: str | os.PathLike[str]) -> CapecContents:
    """Read the bundle at `path`.

    Raises:
        InputError: see `ctiforge.sources.stix.load_bundle`; also where a bundle has attack patterns, but none of CAPEC's.
    """
    bundle = load_bundle(path, "the CAPEC bundle", FIX)
    mitigations = _mitigations(bundle)
    patterns: list[AttackPattern] = []
    id_of: dict[str, str] = {}
    live: list[dict[str, Any]] = []
    withdrawn = 0
    for each in bundle.of_type("attack-pattern"):
        ids = external_references(each, "capec")
        if not ids or "x_capec_version" not in each:
            continue
        if is_withdrawn(each) or str(each.get("x_capec_status")).lower() in _WITHDRAWN:
            withdrawn += 1
            continue
        id_of[each["id"]] = ids[0]
        live.append(each)
        patterns.append(_pattern(each, ids[0], mitigations.get(each["id"], ()), bundle.path))
    if not patterns:
        raise InputError(f"{bundle.path}: a STIX bundle, but without a single CAPEC attack pattern", fix=FIX)
    relations = [relation for each in live for relation in _relations(each, id_of)]
    versions = [str(each["x_capec_version"]) for each in live]
    date = max(str(each.get("modified", ""))[:10] for each in live)
    return CapecContents(max(versions, key=versions.count), date, bundle.sha256, patterns, relations, withdrawn)


def _pattern(each: dict[str, Any], capec_id: str, mitigations: tuple[str, ...] | list[str], path: str) -> AttackPattern:
    found = (parse_cwe_id(reference) for reference in external_references(each, "cwe"))
    return AttackPattern(
        id=capec_id,
        name=clean_markup(str(each.get("name", ""))),
        description=_clean(each, "description"),
        extended_description=_clean(each, "x_capec_extended_description"),
        abstraction=_clean(each, "x_capec_abstraction"),
        status=_clean(each, "x_capec_status"),
        domains=strings(each.get("x_capec_domains")),
        likelihood=_clean(each, "x_capec_likelihood_of_attack"),
        severity=_clean(each, "x_capec_typical_severity"),
        prerequisites=_texts(each, "x_capec_prerequisites"),
        skills=_skills(each.get("x_capec_skills_required")),
        resources=_texts(each, "x_capec_resources_required"),
        consequences=_consequences(each.get("x_capec_consequences")),
        mitigations=tuple(dict.fromkeys(mitigations)),
        examples=_texts(each, "x_capec_example_instances"),
        execution_flow=_execution_flow(each),
        alternate_terms=_texts(each, "x_capec_alternate_terms"),
        cwe_ids=tuple(dict.fromkeys(cwe_id for cwe_id in found if cwe_id)),
        attack_ids=external_references(each, "ATTACK"),
        created=str(each.get("created", ""))[:10],
        modified=str(each.get("modified", ""))[:10],
        source=path,
        sha256=object_sha256(each),
    )


def _clean(each: dict[str, Any], key: str) -> str:
    value = each.get(key)
    if isinstance(value, list):
        value = "\n".join(strings(value))
    return clean_markup(value) if isinstance(value, str) else ""


def _texts(each: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(text for text in map(clean_markup, strings(each.get(key))) if text)


def _execution_flow(each: dict[str, Any]) -> str:
    value = each.get("x_capec_execution_flow")
    return clean_markup(_HEADING.sub("\n", value)) if isinstance(value, str) else ""


def _skills(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        return ()
    return tuple((str(level), clean_markup(text) if isinstance(text, str) else "") for level, text in value.items())


def _consequences(value: Any) -> tuple[PatternConsequence, ...]:
    """Turn scope to impacts around: each impact with its note once, with all its scopes. The note stands in brackets."""
    scopes: dict[tuple[str, str], list[str]] = {}
    for scope, impacts in value.items() if isinstance(value, dict) else ():
        for text in strings(impacts):
            match = _IMPACT.fullmatch(text)
            impact, note = (match[1], match[2]) if match else (text, "")
            scopes.setdefault((impact.strip(), clean_markup(note)), []).append(str(scope).replace("_", " "))
    return tuple(PatternConsequence(tuple(found), impact, note) for (impact, note), found in scopes.items())


def _mitigations(bundle: StixBundle) -> dict[str, list[str]]:
    """Return attack pattern (STIX ID) to the texts of its mitigations, in the order in which CAPEC numbers them."""
    found: dict[str, list[tuple[int, str]]] = {}
    for each in bundle.of_type("relationship"):
        action = bundle.objects.get(str(each.get("source_ref")), {})
        if each.get("relationship_type") == "mitigates" and not is_withdrawn(each) and (text := _clean(action, "description")):
            number = re.fullmatch(r"coa-\d+-(\d+)", str(action.get("name")))
            found.setdefault(str(each.get("target_ref")), []).append((int(number[1]) if number else 0, text))
    return {pattern: [text for _, text in sorted(texts)] for pattern, texts in found.items()}


def _relations(each: dict[str, Any], id_of: dict[str, str]) -> Iterator[TypedRelation]:
    own = id_of[each["id"]]
    for key, kind, turned in _REFERENCES:
        for reference in strings(each.get(key)):
            if other := id_of.get(reference):
                yield TypedRelation(other, kind, own) if turned else TypedRelation(own, kind, other)
