"""Answers derived a second time, from MITRE's files as they are: plain JSON and XML, none of ctiforge's readers."""

from __future__ import annotations

import json
import lzma
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from typing import Any

MITRE = ("mitre-attack", "mitre-mobile-attack", "mitre-ics-attack")


def words(text: str) -> str:
    """Return the letters and digits of a text without citations, link targets and elements: what any cleaning must keep."""
    text = re.sub(r"\(Citation:(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", "", text)
    text = re.sub(r"\]\((?:https?://|/)(?:[^()\s]|\([^()\s]*\))*\)", "]", text)
    text = re.sub(r"</?(?:xhtml:)?[a-z0-9]+[^<>]*>|\[REF-\d+\]", " ", text)
    for entity, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("&quot;", '"')):
        text = text.replace(entity, plain)
    return re.sub(r"[\W_]+", "", text).casefold()


def load(path: Path) -> Any:
    """Return a JSON file, .xz or plain."""
    with lzma.open(path) if path.suffix == ".xz" else open(path, "rb") as stream:
        return json.load(stream)


class GraphChecker:
    """Says whether `relation` holds between a subject and a value."""

    def __init__(self, attack: list[Path], capec: Path, cwe: Path, advisories: Any) -> None:
        self.links: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.texts: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.lists: dict[str, dict[str, list[str]]] = defaultdict(dict)
        self.domains: dict[str, set[str]] = {}
        self.use_texts: dict[tuple[str, str], str] = {}
        for path in attack:
            self._attack(load(path)["objects"])
        self._capec(load(capec)["objects"])
        self._cwe(ET.parse(cwe).getroot())
        self.advisories = {each.id: each for each in advisories}

    def _attack(self, objects: list[dict[str, Any]]) -> None:
        by_ref = {each["id"]: each for each in objects}
        live = {own: each for own, each in by_ref.items() if not each.get("revoked") and not each.get("x_mitre_deprecated")}
        after = {
            each["source_ref"]: each["target_ref"]
            for each in objects
            if each.get("relationship_type") == "revoked-by" and each["id"] in live
        }

        def outer(ref: str) -> str:
            found = (r["external_id"] for r in live.get(ref, {}).get("external_references", ()) if r["source_name"] in MITRE)
            return next(found, "")

        def follow(ref: str) -> str:
            while ref in after and ref not in live:
                ref = after[ref]
            return outer(ref)

        tactics = {
            (d, each["x_mitre_shortname"]): outer(own)
            for own, each in live.items()
            if each["type"] == "x-mitre-tactic"
            for d in each["x_mitre_domains"]
        }
        chain = {"mitre-attack": "enterprise-attack", "mitre-mobile-attack": "mobile-attack", "mitre-ics-attack": "ics-attack"}
        for own, each in live.items():
            if each["type"] == "relationship":
                kind = each["relationship_type"]
                find = outer if kind == "subtechnique-of" else follow
                source, target = find(each["source_ref"]), find(each["target_ref"])
                if source and target:
                    self.links[kind].add((source, target))
                    self.use_texts[source, target] = self.use_texts.get((source, target)) or each.get("description", "")
                continue
            if not (name := outer(own)):
                continue
            self.texts[name], self.names[name] = each.get("description", ""), each.get("name", "")
            self.domains.setdefault(name, set()).update(each.get("x_mitre_domains", ()))
            self.lists["platform"][name] = [p for p in each.get("x_mitre_platforms", ()) if p != "None"]
            self.lists["alias"][name] = [a.casefold() for a in each.get("aliases", ())]
            for phase in each.get("kill_chain_phases", ()):
                self.links["in-tactic"].add((name, tactics[chain[phase["kill_chain_name"]], phase["phase_name"]]))
            for reference in each.get("x_mitre_analytic_refs", ()):
                self.links["analytic"].add((name, outer(reference)))
            for reference in each.get("x_mitre_log_source_references", ()):
                self.links["reads"].add((name, follow(reference["x_mitre_data_component_ref"])))
            for reference in each.get("external_references", ()):
                if reference["source_name"] == "capec":
                    self.links["same"].add((reference["external_id"], name))
        for own, each in by_ref.items():
            gone = next((r["external_id"] for r in each.get("external_references", ()) if r["source_name"] in MITRE), "")
            if own not in live and gone and follow(own):
                self.links["successor"].add((gone, follow(own)))

    def _capec(self, objects: list[dict[str, Any]]) -> None:
        kinds = [each for each in objects if each["type"] == "attack-pattern"]
        ids = {
            each["id"]: each["external_references"][0]["external_id"]
            for each in kinds
            if each["x_capec_status"] not in ("Deprecated", "Obsolete")
        }
        actions = {each["id"]: each for each in objects if each["type"] == "course-of-action"}
        for each in kinds:
            if not (own := ids.get(each["id"])):
                continue
            self.texts[own], self.names[own] = each["description"], each["name"]
            for parent in each.get("x_capec_child_of_refs", ()):
                if parent in ids:
                    self.links["child-of"].add((own, ids[parent]))
            for following in each.get("x_capec_can_precede_refs", ()):
                if following in ids:
                    self.links["can-precede"].add((own, ids[following]))
            for leading in each.get("x_capec_can_follow_refs", ()):
                if leading in ids:
                    self.links["can-precede"].add((ids[leading], own))
            for reference in each["external_references"]:
                if reference["source_name"] == "cwe":
                    self.links["exploits"].add((own, reference["external_id"]))
                if reference["source_name"] == "ATTACK":
                    found = {new for old, new in self.links["successor"] if old == reference["external_id"]}
                    self.links["same"].update((own, new) for new in found or {reference["external_id"]})
            self.lists["severity"][own] = [each.get("x_capec_typical_severity", "")]
            impacts = [text for texts in each.get("x_capec_consequences", {}).values() for text in texts]
            self.lists["impact"][own] = [text.partition("(")[0].strip() for text in impacts]
            self.lists["prerequisite"][own] = each.get("x_capec_prerequisites", [])
        for each in objects:
            if each["type"] == "relationship" and each["target_ref"] in ids:
                self.lists["mitigation"].setdefault(ids[each["target_ref"]], []).append(
                    actions[each["source_ref"]]["description"]
                )

    def _cwe(self, root: ET.Element) -> None:
        space = root.tag.partition("}")[0] + "}"

        def all_of(element: ET.Element, *path: str) -> list[ET.Element]:
            return element.findall("/".join(space + step for step in path))

        def text_of(element: ET.Element | None) -> str:
            return "" if element is None else "".join(element.itertext())

        def texts_of(element: ET.Element, *path: str) -> list[str]:
            return [" ".join(text_of(each).split()) for each in all_of(element, *path)]

        entries = [e for e in all_of(root, "Weaknesses", "Weakness") if e.get("Status") not in ("Deprecated", "Obsolete")]
        live = {f"CWE-{each.get('ID')}" for each in entries}
        for each in entries:
            own = f"CWE-{each.get('ID')}"
            self.texts[own], self.names[own] = text_of(each.find(f"{space}Description")), str(each.get("Name"))
            for link in all_of(each, "Related_Weaknesses", "Related_Weakness"):
                target = f"CWE-{link.get('CWE_ID')}"
                kind = {"ChildOf": "child-of", "CanPrecede": "can-precede"}.get(str(link.get("Nature")))
                if kind and link.get("View_ID") == "1000" and target in live:
                    self.links[kind].add((own, target))
            for link in all_of(each, "Related_Attack_Patterns", "Related_Attack_Pattern"):
                self.links["exploits"].add((f"CAPEC-{link.get('CAPEC_ID')}", own))
            for example in all_of(each, "Observed_Examples", "Observed_Example"):
                self.links["example"].add((own, texts_of(example, "Reference")[0]))
            platforms = all_of(each, "Applicable_Platforms", "Language")
            self.lists["language"][own] = [str(p.get("Name") or p.get("Class")) for p in platforms]
            self.lists["term"][own] = [t.casefold() for t in texts_of(each, "Alternate_Terms", "Alternate_Term", "Term")]
            self.lists["phase"][own] = texts_of(each, "Modes_Of_Introduction", "Introduction", "Phase")
            self.lists["impact"][own] = texts_of(each, "Common_Consequences", "Consequence", "Impact")
            self.lists["scope"][own] = texts_of(each, "Common_Consequences", "Consequence", "Scope")
            self.lists["usage"][own] = texts_of(each, "Mapping_Notes", "Usage")
            self.lists["abstraction"][own] = [str(each.get("Abstraction"))]
            self.lists["mitigation"][own] = [
                text_of(m) for m in all_of(each, "Potential_Mitigations", "Mitigation", "Description")
            ]
            self.lists["detection"][own] = [
                text_of(m.find(f"{space}Method")) + ": " + text_of(m.find(f"{space}Description"))
                for m in all_of(each, "Detection_Methods", "Detection_Method")
            ]

    def _step(self, kind: str, source: str) -> set[str]:
        return {target for one, target in self.links[kind] if one == source}

    def _weakness_of(self, cve_id: str) -> set[str]:
        return {each.cwe_id for each in self.advisories[cve_id].weaknesses if each.cwe_id}

    def holds(self, record: Any, value: str, shown: str) -> bool:
        """Say whether `value`, shown as the option `shown`, is a right answer to the record's question."""
        relation, subject, slots = record.metadata["relation"], record.source_id, record.metadata["slots"]
        forward = {
            "uses": "uses", "mitigates": "mitigates", "attributed-to": "attributed-to", "targets": "targets",
            "in-tactic": "in-tactic", "can-precede": "can-precede", "child-of": "child-of", "exploits": "exploits",
            "same-as-technique": "same",
        }  # fmt: skip
        backward = {
            "mitigated-by": "mitigates", "used-by": "uses", "has-technique": "in-tactic", "parent-of": "child-of",
            "has-subtechnique": "subtechnique-of", "exploited-by": "exploits",
        }  # fmt: skip
        if relation in forward:
            return (subject, value) in self.links[forward[relation]]
        if relation in backward:
            return (value, subject) in self.links[backward[relation]]
        match relation:
            case "is":
                # The question quotes the subject, or each option quotes its own object; one of the two is in the text.
                quoted = slots.get("sentence", "")
                if record.generator.endswith("-description"):
                    return words(shown) in words(self.texts[subject]) and words(shown) in words(self.texts[value])
                if record.generator in ("qa/technique-definition", "qa/pattern-definition", "qa/weakness-definition"):
                    return words(quoted) in words(self.texts[value])
                if record.generator == "qa/technique-id":
                    parents = {target for one, target in self.links["subtechnique-of"] if one == value}
                    full = ": ".join([*(self.names[parent] for parent in parents), self.names[value]])
                    return full == slots["name"] and self.domains[value] == self.domains[subject]
                return bool(value == subject)
            case "subtechnique-of":
                named = {own for own, name in self.names.items() if name.casefold() == slots["own"].casefold()}
                return any((own, value) in self.links["subtechnique-of"] for own in named)
            case "platform" | "severity" | "impact" | "scope" | "phase" | "usage" | "abstraction" | "language":
                return value in self.lists[relation][subject]
            case "not-platform":
                return value not in self.lists["platform"][subject]
            case "alias-of":
                return slots["alias"].casefold() in (*self.lists["alias"][value], self.names[value].casefold())
            case "term-of":
                return slots["term"].casefold() in self.lists["term"][value]
            case "example-of":
                return (value, slots["cve"]) in self.links["example"]
            case "mitigation-use":
                mitigation, _, technique = value.partition("@")
                right = technique == subject and self.names[mitigation] == slots["mitigation"]
                return right and words(shown) in words(self.use_texts[mitigation, technique])
            case "detected-with" | "detected-by-analytic":
                strategies = {one for one, target in self.links["detects"] if target == subject}
                analytics = {a for strategy in strategies for a in self._step("analytic", strategy)}
                if relation == "detected-by-analytic":
                    return value in analytics and words(shown) in words(self.texts[value])
                return any((analytic, value) in self.links["reads"] for analytic in analytics)
            case "mitigation" | "prerequisite" | "detection":
                return any(words(shown) in words(text) for text in self.lists[relation].get(subject, ()))
            case "weakness":
                return value in self._weakness_of(subject)
            case "weakness-impact":
                return any(value in self.lists["impact"][cwe_id] for cwe_id in self._weakness_of(subject))
            case "weakness-exploited-by":
                return any((value, cwe_id) in self.links["exploits"] for cwe_id in self._weakness_of(subject))
            case "attack-vector":
                letter = {"Network": "N", "Adjacent": "A", "Local": "L", "Physical": "P"}[value]
                scores = [each.vector for each in self.advisories[subject].cvss if each.version.startswith("3")]
                return any(f"/AV:{letter}/" in vector for vector in scores)
        raise AssertionError(f"the checker does not know the relation {relation!r}")
