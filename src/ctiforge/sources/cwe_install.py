"""Putting another CWE release into force for one user, and saying what it changes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ctiforge.core.errors import CatalogueError
from ctiforge.core.files import write_bytes
from ctiforge.core.weakness import MappingUsage, Weakness
from ctiforge.sources.cwe import CweCatalogue, build_table, installed_table, load_catalogue, shipped_table

__all__ = ["CatalogueChange", "UsageChange", "compare_catalogues", "install_catalogue", "read_release", "use_shipped"]

SMALLEST_SHARE = 0.75
"""A release with fewer weaknesses than this share of those in force is taken for a download of a single view."""


@dataclass(frozen=True, slots=True)
class UsageChange:
    """A weakness whose mapping usage is not what it was; `after` is empty where the entry is gone."""

    cwe_id: str
    name: str
    before: MappingUsage
    after: MappingUsage


@dataclass(frozen=True, slots=True)
class CatalogueChange:
    """What is different in `after` (a version) against `before`; entries by number.

    Attributes:
        added: weaknesses that are new.
        removed: weaknesses that are gone (MITRE deprecates rather than removes, so this is rare).
        deprecated: weaknesses that are deprecated now and were not.
        usage: weaknesses whose usage changed, deprecated ones left out.
        renamed: weaknesses with another name, deprecated ones left out.
    """

    before: str
    after: str
    added: list[Weakness] = field(default_factory=list)
    removed: list[Weakness] = field(default_factory=list)
    deprecated: list[Weakness] = field(default_factory=list)
    usage: list[UsageChange] = field(default_factory=list)
    renamed: list[Weakness] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Nothing that matters for mapping has changed."""
        return not (self.added or self.removed or self.deprecated or self.usage or self.renamed)


def compare_catalogues(before: CweCatalogue, after: CweCatalogue) -> CatalogueChange:
    """Return what changes for someone who maps vulnerabilities when `after` takes the place of `before`."""
    change = CatalogueChange(before.version, after.version)
    change.removed.extend(old for old in before if old.cwe_id not in after)
    for new in after:
        old = before.get(new.cwe_id)
        if old is None:
            change.added.append(new)
        elif new.status == "Deprecated":
            if old.status != "Deprecated":
                change.deprecated.append(new)
        else:
            if new.usage != old.usage:
                change.usage.append(UsageChange(new.cwe_id, new.name, old.usage, new.usage))
            if new.name != old.name:
                change.renamed.append(new)
    return change


def read_release(path: str | os.PathLike[str], *, partial: bool = False) -> tuple[CweCatalogue, bytes]:
    """Return the catalogue in MITRE's XML at `path` and the table to install; nothing is written.

    Args:
        path: the XML, plain, .zip, .gz, .xz or .bz2.
        partial: take a file with far fewer weaknesses than the shipped table (see `SMALLEST_SHARE`).

    Raises:
        CatalogueError: the file is damaged, no CWE catalogue, or seems to be a part of one.
    """
    table = build_table(path)
    release = CweCatalogue(table, str(Path(path)))
    shipped = load_catalogue(shipped_table())
    if len(release) < SMALLEST_SHARE * len(shipped) and not partial:
        raise CatalogueError(
            f"{path}: holds {len(release)} weaknesses, CWE {shipped.version} has {len(shipped)}; this looks like a single view",
            fix="download the whole catalogue from https://cwe.mitre.org/data/downloads.html, or add --partial",
        )
    return release, table


def install_catalogue(path: str | os.PathLike[str], *, partial: bool = False) -> Path:
    """Make MITRE's XML at `path` the user's catalogue; return where its table was written.

    The table is written atomically and only after it was read back, so the one in force stays until then.

    Raises:
        CatalogueError: see `read_release`; or the user's data folder cannot be written.
    """
    _, table = read_release(path, partial=partial)
    target = installed_table()
    try:
        write_bytes(target, table)
    except OSError as error:
        raise CatalogueError(
            f"{target}: cannot be written: {error.strerror}", fix="set CTIFORGE_HOME to a folder that you may write to"
        ) from error
    return target


def use_shipped() -> bool:
    """Remove the user's catalogue, so that the shipped one is in force again; return whether there was one.

    Raises:
        CatalogueError: the file cannot be removed.
    """
    target = installed_table()
    try:
        target.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CatalogueError(f"{target}: cannot be removed: {error.strerror}", fix=f"remove {target} yourself") from error
    return True
