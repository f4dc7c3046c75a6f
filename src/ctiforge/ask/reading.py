"""From the files that a user names to everything that goes into a knowledge base."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ctiforge.ask.from_attack import gather_attack
from ctiforge.ask.from_capec import gather_capec
from ctiforge.ask.from_cves import gather_cves
from ctiforge.ask.from_cwe import gather_cwe, observed_vulnerabilities
from ctiforge.ask.from_documents import find_documents, gather_documents
from ctiforge.ask.gathered import Gathered
from ctiforge.core.advisory import Reject
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, sha256
from ctiforge.sources.attack import AttackCatalogue, load_attack
from ctiforge.sources.capec import CapecCatalogue, load_capec
from ctiforge.sources.cwe import CweCatalogue, find_cwe2_xml, load_catalogue
from ctiforge.sources.cwe_texts import CweTexts, load_cwe_texts
from ctiforge.sources.walk import find_files, printable_path

__all__ = ["BuildInputs", "Reading", "input_digests", "read_inputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInputs:
    """The files of a knowledge base; without any it is built from the CWE release in the package cwe2 alone.

    Attributes:
        attack: STIX bundles of Enterprise, Mobile and ICS, any of them.
        attack_version: the release, for bundles that do not state it.
        capec: STIX bundle or XML.
        cwe: MITRE's XML; None for the one in the package cwe2.
        cves: files and folders in any format that ``ctiforge classify`` reads.
        docs: folder of a team's own documents.
    """

    attack: tuple[Path, ...] = ()
    attack_version: str = ""
    capec: Path | None = None
    cwe: Path | None = None
    cves: tuple[Path, ...] = ()
    docs: Path | None = None


@dataclass(slots=True)
class Reading:
    """What was read, what of it was left out by reason, and documents that could not be read with why."""

    gathered: Gathered
    rejects: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def input_digests(inputs: BuildInputs) -> list[list[str]]:
    """Return path and SHA-256 of every file that `read_inputs` would read, in order.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    cwe = inputs.cwe if inputs.cwe is not None else find_cwe2_xml()
    files = [("attack", path) for path in inputs.attack]
    files += [("capec", inputs.capec)] if inputs.capec is not None else []
    files.append(("cwe", cwe))
    files += [("cve", path) for path in _feed_files(inputs.cves)]
    files += [("docs", path) for path in find_documents(inputs.docs)] if inputs.docs is not None else []
    found = []
    for kind, path in files:
        try:
            found.append([kind, str(path), file_sha256(path)])
        except OSError as error:
            raise InputError(
                f"{printable_path(str(path))}: {error.strerror or error}", fix="check the path and its permissions"
            ) from None
    return found


def _feed_files(paths: tuple[Path, ...]) -> list[Path]:
    found = []
    for each in find_files(map(str, paths)):
        if isinstance(each, Reject):
            raise InputError(f"{each.source.path}: {each.detail}", fix="check the paths given with --cve")
        found.append(Path(each.path))
    return found


def read_inputs(inputs: BuildInputs) -> Reading:
    """Read everything; the catalogues first, because feeds and each other's relations are resolved by them.

    Raises:
        InputError: a catalogue is not what it should be, or no feed holds a CVE.
    """
    attack = load_attack(inputs.attack, version=inputs.attack_version) if inputs.attack else None
    capec = load_capec(inputs.capec) if inputs.capec is not None else None
    texts = load_cwe_texts(inputs.cwe)
    table = load_catalogue()
    gathered = _read_catalogues(attack, capec, texts, table)
    reading = Reading(gathered)
    if inputs.cves:
        _read_feeds(reading, inputs.cves, texts)
    # Observed examples come last: where a feed has the CVE, its text and dates stand.
    gathered.objects += observed_vulnerabilities(texts)
    if inputs.docs is not None:
        documents = gather_documents(inputs.docs)
        gathered.add(documents.gathered)
        reading.left_out = documents.left_out
    return reading


def _read_catalogues(
    attack: AttackCatalogue | None, capec: CapecCatalogue | None, texts: CweTexts, table: CweCatalogue
) -> Gathered:
    gathered = Gathered()
    names: dict[str, str] = {weakness.cwe_id: weakness.name for weakness in texts}
    if attack is not None:
        gathered.add(gather_attack(attack))
        names |= {each.id: each.name for each in gathered.objects}
    if capec is not None:
        resolve = attack.resolve if attack is not None else lambda each: each
        gathered.add(gather_capec(capec, names, resolve))
    patterns: Mapping[str, str] = {pattern.id: pattern.name for pattern in capec or ()}
    gathered.add(gather_cwe(texts, patterns, table))
    if capec is not None:  # a link to a pattern that CAPEC has withdrawn leads nowhere
        gathered.links = [link for link in gathered.links if link.kind != "exploited-by" or link.end in capec]
        gathered.links = [link for link in gathered.links if link.kind != "exploits" or link.end in texts]
    return gathered


def _read_feeds(reading: Reading, feeds: tuple[Path, ...], texts: CweTexts) -> None:
    redirects = reading.gathered.redirects

    def resolve(cwe_id: str) -> str | None:
        current = redirects.get(cwe_id, cwe_id)
        return current if current in texts else None

    files = _feed_files(feeds)
    digest = sha256("\n".join(f"{path.name} {file_sha256(path)}" for path in files).encode())
    read = gather_cves([os.fspath(path) for path in feeds], digest, resolve, lambda cwe_id: texts[cwe_id].name)
    if not read.gathered.objects:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in read.rejects.items()) or "they are empty"
        raise InputError(
            f"no CVE could be read from the feeds: {reasons}", fix="see what is wrong with: ctiforge classify FILE"
        )
    reading.gathered.add(read.gathered)
    reading.rejects = read.rejects
