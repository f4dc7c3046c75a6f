"""Stage of questions by rule: catalogues and feeds in, question records out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ctiforge.core.advisory import Advisory
from ctiforge.corpus.qa import QaObjects, build_settings, generate_qa
from ctiforge.corpus.recipe import Qa
from ctiforge.corpus.stages import StageWriter
from ctiforge.sources.attack import load_attack
from ctiforge.sources.capec import load_capec
from ctiforge.sources.cwe_texts import load_cwe_texts
from ctiforge.sources.read import read_advisories

__all__ = ["PACKAGED_CWE", "make_qa_records"]

PACKAGED_CWE = "MITRE CWE 4.14 (package cwe2)"
"""What the records name as their source where the recipe names no file of CWE."""


def make_qa_records(writer: StageWriter, qa: Qa, files: Mapping[str, Path], seed: int) -> None:
    """Keep the questions that the recipe asks for, each with the licence that the recipe states for its source.

    Args:
        files: where each source's path is.
    """
    names = {str(path): name for name, path in files.items()}
    licences = {source.path or PACKAGED_CWE: source.licence for source in qa.sources}
    settings = build_settings(generators=qa.generators, limit=qa.make, counts=qa.counts)
    for done, record in enumerate(generate_qa(_load(qa, files), settings, seed), 1):
        name = names.get(record.source, PACKAGED_CWE)
        writer.keep(replace(record, source=name, licence=licences[name], steps=("ask", *record.steps)))
        if done % 500 == 0:
            writer.progress(done, sum(each.total for each in settings.counts.values()))


def _load(qa: Qa, files: Mapping[str, Path]) -> QaObjects:
    paths: dict[str, list[Path]] = {kind: [] for kind in ("attack", "capec", "cwe", "cve")}
    for source in qa.sources:
        if source.path:
            paths[source.kind].append(files[source.path])
    feeds = [str(path) for path in paths["cve"]]
    with_cwe = any(source.kind == "cwe" for source in qa.sources)
    return QaObjects(
        attack=load_attack(paths["attack"]) if paths["attack"] else None,
        capec=load_capec(paths["capec"][0]) if paths["capec"] else None,
        weaknesses=load_cwe_texts(paths["cwe"][0] if paths["cwe"] else None) if with_cwe else None,
        advisories=_first_of_each(feeds, qa),
        advisory_licence="",  # the recipe states one for each file
    )


def _first_of_each(feeds: Sequence[str], qa: Qa) -> list[Advisory]:
    """Return the first advisory of each ID, of the years that the recipe asks about."""
    found = (each for each in read_advisories(feeds) if isinstance(each, Advisory)) if feeds else ()
    return [each for each in found if each.id.startswith("CVE-") and qa.years.first <= int(each.id[4:8]) <= qa.years.last]
