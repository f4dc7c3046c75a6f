"""Where catalogues and feeds are published, in which release, and their SHA-256 where it is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from ctiforge.core.errors import SettingError, did_you_mean

__all__ = ["SOURCES", "PublishedFile", "PublishedSource", "find_source"]

_RELEASE: Final = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of a source.

    Attributes:
        name: in the folder, on a mirror, and at the publisher.
        release: empty for feeds that are written anew all the time.
        sha256: of the file as published; None where nobody states it.
        form: what it is, told again from its content when it came: JSON, XML (may be packed), or a table (may be packed).
        mark: a key of the JSON object, or words within the first 4 kB.
    """

    source: str
    name: str
    url: str
    release: str
    form: Literal["json", "xml", "table"]
    mark: str
    sha256: str | None = None

    def expecting(self, sha256: str) -> PublishedFile:
        """Return the same file with a SHA-256 that it must have."""
        return replace(self, sha256=sha256)


@dataclass(frozen=True, slots=True)
class PublishedSource:
    """One source.

    Attributes:
        names, urls: patterns of its files, with ``{release}``.
        release: the one that this version of ctiforge was tested with; empty where there are no releases.
        pins: SHA-256 by file name.
        terms: one line for people.
    """

    source: str
    names: tuple[str, ...]
    urls: tuple[str, ...]
    release: str
    form: Literal["json", "xml", "table"]
    mark: str
    terms: str
    pins: Mapping[str, str]

    def files(self, release: str | None = None) -> list[PublishedFile]:
        """Return the files of a release, by default the tested one.

        Raises:
            SettingError: the source has no releases, or this cannot be one.
        """
        if release is not None and not self.release:
            raise SettingError(f"{self.source} has no releases", fix="leave out its release")
        if release is not None and not _RELEASE.fullmatch(release):
            raise SettingError(
                f"{release!r} is no release of {self.source}", fix=f"write it as in {self.source}={self.release}"
            )
        chosen = release or self.release
        names = [name.format(release=chosen) for name in self.names]
        urls = [url.format(release=chosen) for url in self.urls]
        return [
            PublishedFile(self.source, name, url, chosen, self.form, self.mark, self.pins.get(name))
            for name, url in zip(names, urls, strict=True)
        ]


_ATTACK: Final = "https://raw.githubusercontent.com/mitre-attack/attack-stix-data/master"
_DOMAINS: Final = ("enterprise", "mobile", "ics")

SOURCES: Final[Mapping[str, PublishedSource]] = MappingProxyType({
    "attack": PublishedSource(
        "attack",
        tuple(f"{domain}-attack-{{release}}.json" for domain in _DOMAINS),
        tuple(f"{_ATTACK}/{domain}-attack/{domain}-attack-{{release}}.json" for domain in _DOMAINS),
        "18.1",
        "json",
        "objects",
        "MITRE ATT&CK, under https://attack.mitre.org/resources/legal-and-branding/terms-of-use/",
        # MITRE states these in mitreattack-python (mitreattack/release_info.py, STIX 2.1).
        MappingProxyType({
            "enterprise-attack-18.1.json": "f857d8f78f2f0c0b7db321a711a39fba98546c1e3076a657684850c83d0962fb",
            "mobile-attack-18.1.json": "c6dd56996586b2d1484e6555f9f5307f379dff24e7632e6af23097ef25656ea9",
            "ics-attack-18.1.json": "a7c0106492843485340710be9e841c1584d8fc6da8950e7097db0e7b5bc9f164",
        }),
    ),
    "capec": PublishedSource(
        "capec",
        ("stix-capec.json",),
        ("https://raw.githubusercontent.com/mitre/cti/master/capec/2.1/stix-capec.json",),
        "3.9",
        "json",
        "objects",
        "MITRE CAPEC, under https://capec.mitre.org/about/termsofuse.html",
        MappingProxyType({}),
    ),
    "cwe": PublishedSource(
        "cwe",
        ("cwec_v{release}.xml.zip",),
        ("https://cwe.mitre.org/data/xml/cwec_v{release}.xml.zip",),
        "4.14",
        "xml",
        "Weakness_Catalog",
        "MITRE CWE, under https://cwe.mitre.org/about/termsofuse.html",
        MappingProxyType({}),
    ),
    "kev": PublishedSource(
        "kev",
        ("known_exploited_vulnerabilities.json",),
        ("https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",),
        "",
        "json",
        "vulnerabilities",
        "CISA's Known Exploited Vulnerabilities, CC0, https://www.cisa.gov/known-exploited-vulnerabilities-catalog",
        MappingProxyType({}),
    ),
    "epss": PublishedSource(
        "epss",
        ("epss_scores-current.csv.gz",),
        ("https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",),
        "",
        "table",
        "cve,epss,percentile",
        "EPSS scores of FIRST.org, under https://www.first.org/epss/ (please cite EPSS)",
        MappingProxyType({}),
    ),
})  # fmt: skip
"""All sources by name. CAPEC's file has no release in its name: 3.9 is the last one, and what comes states its own."""


def find_source(name: str) -> PublishedSource:
    """Return a source by its name.

    Raises:
        SettingError: there is none; near misses are named.
    """
    if name not in SOURCES:
        raise SettingError(f"no source named {name!r}", fix=did_you_mean(name, SOURCES) or f"use one of {', '.join(SOURCES)}")
    return SOURCES[name]
