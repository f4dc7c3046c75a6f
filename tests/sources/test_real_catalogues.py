"""Counts over MITRE's real files, against counts made another way. They are not part of the repository."""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ctiforge.sources.attack import load_attack
from ctiforge.sources.capec import load_capec
from ctiforge.sources.cwe import find_cwe2_xml, load_catalogue
from ctiforge.sources.cwe_texts import load_cwe_texts

DOMAINS = ("enterprise", "mobile", "ics")
CLASSES = {
    "attack-pattern": "Technique",
    "course-of-action": "Mitigation",
    "intrusion-set": "Group",
    "malware": "Software",
    "tool": "Software",
    "x-mitre-analytic": "Analytic",
    "x-mitre-asset": "Asset",
    "x-mitre-data-component": "DataComponent",
    "x-mitre-data-source": "DataSource",
    "x-mitre-detection-strategy": "DetectionStrategy",
    "x-mitre-tactic": "Tactic",
    "campaign": "Campaign",
}


def raw(path: Path) -> list[dict[str, Any]]:
    with lzma.open(path) as stream:
        objects: list[dict[str, Any]] = json.load(stream)["objects"]
    return objects


@pytest.mark.slow
def test_attack_is_read_whole(shared_data: Path) -> None:
    paths = [shared_data / "attack" / f"{domain}-attack.json.xz" for domain in DOMAINS]
    attack = load_attack(paths, version="18.1")
    live: dict[str, dict[str, Any]] = {}
    relations: dict[str, set[tuple[str, str]]] = {}
    for path in paths:
        for each in raw(path):
            if each["type"] == "relationship" and not each.get("x_mitre_deprecated") and not each.get("revoked"):
                relations.setdefault(each["relationship_type"], set()).add((each["source_ref"], each["target_ref"]))
            elif each["type"] in CLASSES and not each.get("revoked") and not each.get("x_mitre_deprecated"):
                live[each["id"]] = each
    assert Counter(type(each).__name__ for each in attack) == Counter(CLASSES[each["type"]] for each in live.values())
    kinds = Counter(relation.kind for relation in attack.graph)
    for kind in ("uses", "mitigates", "detects", "subtechnique-of", "attributed-to", "targets"):
        expected = {pair for pair in relations[kind] if pair[0] in live and pair[1] in live}
        assert kinds[kind] == len(expected), kind
    assert kinds["in-tactic"] == sum(len(each.get("kill_chain_phases", ())) for each in live.values())
    assert kinds["has-analytic"] == sum(len(set(each.get("x_mitre_analytic_refs", ()))) for each in live.values())
    leftovers = re.compile(r"\(Citation:|\]\(https?:|</?code>|<br>|&lt;|&gt;")
    assert [each.id for each in attack if leftovers.search(each.description)] == []
    assert [r for r in attack.graph if leftovers.search(r.description)] == []


@pytest.mark.slow
def test_capec_is_read_whole(shared_data: Path) -> None:
    path = shared_data / "attack" / "capec.json.xz"
    capec = load_capec(path)
    objects = raw(path)
    patterns = [each for each in objects if each["type"] == "attack-pattern"]
    live = [each for each in patterns if each["x_capec_status"] not in ("Deprecated", "Obsolete")]
    ids = {each["id"] for each in live}
    assert (len(capec), capec.withdrawn, capec.version) == (len(live), len(patterns) - len(live), "3.9")
    kinds = Counter(relation.kind for relation in capec.graph)
    up = {(each["id"], parent) for each in live for parent in each.get("x_capec_child_of_refs", ()) if parent in ids}
    assert kinds["child-of"] == len(up)
    cwe = {(each["id"], r["external_id"]) for each in live for r in each["external_references"] if r["source_name"] == "cwe"}
    assert kinds["exploits"] == len(cwe)
    texts = {each["id"]: each["description"] for each in objects if each["type"] == "course-of-action"}
    words = {own: " ".join(re.sub(r"</?xhtml:[^>]*>", " ", text).split()) for own, text in texts.items()}  # layout aside
    links = [each for each in objects if each["type"] == "relationship" and each["target_ref"] in ids]
    assert sum(len(pattern.mitigations) for pattern in capec) == len({(r["target_ref"], words[r["source_ref"]]) for r in links})


@pytest.mark.slow
def test_cwe_texts_agree_with_the_table() -> None:
    pytest.importorskip("cwe2")
    texts, table = load_cwe_texts(), load_catalogue()
    source = find_cwe2_xml().read_text("utf-8")
    assert texts.version == table.version
    assert {each.cwe_id for each in texts} == {each.cwe_id for each in table if each.status not in ("Deprecated", "Obsolete")}
    for each in texts:
        entry = table[each.cwe_id]
        assert (each.name, each.abstraction) == (entry.name, entry.abstraction)
        assert set(texts.neighbours(each.cwe_id, "child-of")) == {p for p in entry.parents if p in texts}
        assert set(texts.neighbours(each.cwe_id, "observed-in")) == set(table.observed_examples(each.cwe_id))
        assert each.description
    assert sum(len(each.examples) for each in texts) == len(
        re.findall(r"<Observed_Example>\s*<Reference>CVE-\d{4}-\d{4,}</Reference>", source)
    )
    assert sum(len(each.detections) for each in texts) == len(re.findall(r"<Detection_Method[ >]", source))
    assert sum(len(each.mitigations) for each in texts) == len(re.findall(r"<Mitigation[ >]", source))
