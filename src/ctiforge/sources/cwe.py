"""The CWE catalogue: every weakness by identifier or by name, its usage for mapping, its place in View-1000.

The facts come from MITRE's XML (https://cwe.mitre.org/data/downloads.html) as a compact table, see
`ctiforge.sources.cwe_table`. The package ships CWE 4.14; ``ctiforge cwe use FILE`` installs any newer one for the user.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import orjson

from ctiforge.core.errors import CatalogueError
from ctiforge.core.files import sha256
from ctiforge.core.ids import cwe_number, parse_cwe_id
from ctiforge.core.paths import user_data_dir
from ctiforge.core.weakness import SuggestedMapping, Weakness
from ctiforge.sources.cwe_graph import CweGraph
from ctiforge.sources.cwe_names import NamedEntry, NameIndex
from ctiforge.sources.cwe_preference import Preference, PreferenceFinder
from ctiforge.sources.cwe_search import CweMatch, CweSearch

__all__ = [
    "CweCatalogue",
    "CweMatch",
    "Preference",
    "build_table",
    "find_cwe2_xml",
    "installed_table",
    "load_catalogue",
    "shipped_table",
]

TABLE_FORMAT: Final = "ctiforge-cwe-1"
"""First value of a table; any other is refused."""

_SUGGESTABLE = ("Allowed", "Allowed-with-Review")


class CweCatalogue:
    """One release of CWE; immutable, and cheap to make: entries become objects when they are asked for.

    Iteration and `len` are over weaknesses (deprecated ones included), not categories or views.

    Args:
        table: bytes of a table as `build_table` makes it.
        path: where they came from, for errors and reports.

    Attributes:
        version: MITRE's version, e.g. ``4.14``.
        date: MITRE's release date, ISO 8601.
        digest: SHA-256 of the table bytes.
        xml_sha256: SHA-256 of the XML that the table was built from.

    Raises:
        CatalogueError: the bytes are not such a table.
    """

    def __init__(self, table: bytes, path: str) -> None:
        self.path = path
        self.digest = sha256(table)
        try:
            data = orjson.loads(table)
            if not isinstance(data, dict) or data.get("format") != TABLE_FORMAT:
                raise ValueError(f"its format is not {TABLE_FORMAT!r}")
            self.version = str(data["version"])
            self.date = str(data["date"])
            self.xml_sha256 = str(data["xml_sha256"])
            self._rationales: list[str] = data["rationales"]
            self._weaknesses = {f"CWE-{row['id']}": row for row in data["weaknesses"]}
            self._groups = {f"CWE-{row['id']}": row | {"abstraction": "Category"} for row in data["categories"]}
            self._groups |= {f"CWE-{row['id']}": row | {"abstraction": "View"} for row in data["views"]}
        except (ValueError, KeyError, TypeError) as error:
            raise CatalogueError(
                f"{path}: not a CWE table, or a damaged one: {error}",
                fix="ctiforge cwe use FILE with MITRE's XML, or ctiforge cwe use --shipped",
            ) from error
        self._made: dict[str, Weakness] = {}

    def __repr__(self) -> str:
        return f"CweCatalogue(version={self.version!r}, path={self.path!r})"

    def __len__(self) -> int:
        return len(self._weaknesses)

    def __iter__(self) -> Iterator[Weakness]:
        return (self[cwe_id] for cwe_id in self._weaknesses)

    def __contains__(self, cwe_id: object) -> bool:
        return cwe_id in self._weaknesses or cwe_id in self._groups

    def __getitem__(self, cwe_id: str) -> Weakness:
        """Return the entry spelled ``CWE-79``; a category or view too.

        Raises:
            CatalogueError: there is no such entry; near misses are named.
        """
        if (entry := self.get(cwe_id)) is None:
            raise self.unknown(cwe_id)
        return entry

    def get(self, cwe_id: str) -> Weakness | None:
        """Return the entry spelled ``CWE-79`` (weakness, category or view), or None. Other spellings: `resolve` first."""
        if (made := self._made.get(cwe_id)) is None:
            row = self._weaknesses.get(cwe_id) or self._groups.get(cwe_id)
            if row is None:
                return None
            made = self._made[cwe_id] = self._weakness(cwe_id, row)
        return made

    def unknown(self, text: str) -> CatalogueError:
        """Return the error for a text that names no entry, with what it may have meant."""
        near = self.suggest(text, limit=3)
        listed = "; ".join(f"{match.cwe_id} ({match.name})" for match in near)
        return CatalogueError(
            f"CWE {self.version} has no entry {text!r}",
            fix=f"did you mean {listed}?" if listed else "search the catalogue by words",
            about="" if listed else "entry",
        )

    @property
    def categories(self) -> tuple[str, ...]:
        """Identifiers of all categories, by number."""
        return tuple(cwe_id for cwe_id, row in self._groups.items() if row["abstraction"] == "Category")

    @property
    def views(self) -> tuple[str, ...]:
        """Identifiers of all views, by number."""
        return tuple(cwe_id for cwe_id, row in self._groups.items() if row["abstraction"] == "View")

    def is_weakness(self, cwe_id: str) -> bool:
        """Say whether `cwe_id` is a live weakness: in the catalogue, no category or view, not deprecated."""
        row = self._weaknesses.get(cwe_id)
        return row is not None and row["status"] != "Deprecated"

    def is_suggestable(self, cwe_id: str) -> bool:
        """Say whether MITRE lets the entry be mapped to: a live weakness, Allowed or Allowed-with-Review."""
        return self.is_weakness(cwe_id) and self._weaknesses[cwe_id]["usage"] in _SUGGESTABLE

    def resolve(self, text: str | int) -> str | None:
        """Return the identifier that `text` means, ``CWE-79``, or None.

        Reads any spelling of a number (the first one where there are several; it wins over words beside it), else a name as
        `ctiforge.sources.cwe_names` describes. Vague words such as 'Remote Code Execution' are None. The answer may be a
        category, a view or a deprecated entry; `is_weakness` and `is_suggestable` tell.
        """
        if cwe_id := parse_cwe_id(text):
            return cwe_id if cwe_id in self else None
        return self._names.resolve(text) if isinstance(text, str) else None

    def suggest(self, text: str, limit: int = 5) -> list[CweMatch]:
        """Return entries that a text which does not resolve may have meant, best first."""
        return self._search.suggest(text, limit)

    def search(self, query: str, limit: int = 20) -> list[CweMatch]:
        """Return entries whose name, alternate terms or former names hold every word of `query` (or a word's start)."""
        return self._search.search(query, limit)

    def parents(self, cwe_id: str) -> tuple[str, ...]:
        """Return ChildOf targets in View-1000, primary first."""
        return self._graph.parents.get(cwe_id, ())

    def children(self, cwe_id: str) -> tuple[str, ...]:
        """Return entries that are ChildOf `cwe_id` in View-1000, by number."""
        return self._graph.children.get(cwe_id, ())

    def ancestors(self, cwe_id: str) -> tuple[str, ...]:
        """Return all entries above `cwe_id` in View-1000, nearest first."""
        return tuple(entry for level in self._graph.levels_up(cwe_id) for entry in level)

    def descendants(self, cwe_id: str) -> tuple[str, ...]:
        """Return all entries below `cwe_id` in View-1000, nearest first."""
        return tuple(entry for level in self._graph.levels_down(cwe_id) for entry in level)

    def members(self, cwe_id: str) -> tuple[str, ...]:
        """Return the direct members of a category or view (weaknesses and categories), in MITRE's order."""
        row = self._groups.get(cwe_id, {})
        return tuple(f"CWE-{number}" for number in row.get("members", ()))

    def path_between(self, a: str, b: str) -> tuple[str, ...] | None:
        """Return a shortest path from `a` to `b` over ChildOf of View-1000 in either direction, both included, or None."""
        return self._graph.shortest_path(a, b) if a in self._weaknesses and b in self._weaknesses else None

    def paths_to_root(self, cwe_id: str) -> tuple[tuple[str, ...], ...]:
        """Return every way from `cwe_id` up to a pillar, over primary parents first; empty for an unknown entry."""
        return self._graph.paths_to_root(cwe_id) if cwe_id in self._weaknesses else ()

    def distance(self, a: str, b: str) -> int | None:
        """Return the number of ChildOf steps between `a` and `b` in View-1000, whichever direction; None if unconnected."""
        path = self.path_between(a, b)
        return None if path is None else len(path) - 1

    def preference(self, cwe_id: str, *, review: bool = True) -> Preference:
        """Return what to map to instead of `cwe_id` and where that comes from; see `ctiforge.sources.cwe_preference`."""
        return self._preferences.find(cwe_id, review=review)

    def nearest_allowed(self, cwe_id: str, *, review: bool = True) -> tuple[str, ...]:
        """Return the entries to prefer, best first: `cwe_id` itself if it may be used, else see `preference`.

        Args:
            cwe_id: any entry; unknown ones have nothing to prefer.
            review: count Allowed-with-Review as allowed.
        """
        return self.preference(cwe_id, review=review).cwe_ids

    def in_view(self, cwe_id: str, view: str | int) -> bool:
        """Say whether a weakness belongs to a view, e.g. ``in_view("CWE-79", 1003)``, through categories too."""
        view_id = parse_cwe_id(view)
        row = self._weaknesses.get(cwe_id)
        return row is not None and view_id is not None and cwe_number(view_id) in row.get("views", ())

    def observed_examples(self, cwe_id: str) -> tuple[str, ...]:
        """Return the CVE IDs that MITRE lists as observed examples of a weakness."""
        row = self._weaknesses.get(cwe_id, {})
        return tuple(f"CVE-{number}" for number in row.get("examples", ()))

    def _weakness(self, cwe_id: str, row: dict[str, Any]) -> Weakness:
        def ids(key: str) -> tuple[str, ...]:
            return tuple(f"CWE-{number}" for number in row.get(key, ()))

        return Weakness(
            cwe_id=cwe_id,
            name=row["name"],
            abstraction=row["abstraction"],
            status=row.get("status", ""),
            usage=row["usage"],
            rationale=self._rationales[row["rationale"]] if "rationale" in row else "",
            suggestions=tuple(
                SuggestedMapping(f"CWE-{n}", comment, source) for n, comment, source in row.get("suggestions", ())
            ),
            parents=ids("parents"),
            can_precede=ids("can_precede"),
            can_follow=ids("can_follow"),
            peers=ids("peers"),
            views=ids("views"),
            requires=ids("requires"),
            chain=ids("chain"),
            terms=tuple(row.get("terms", ())),
        )

    @cached_property
    def _graph(self) -> CweGraph:
        parents = {cwe_id: row.get("parents", ()) for cwe_id, row in self._weaknesses.items()}
        return CweGraph({cwe_id: tuple(f"CWE-{n}" for n in found) for cwe_id, found in parents.items()})

    @cached_property
    def _named(self) -> list[NamedEntry]:
        kinds = {"Category": "category", "View": "view"}
        return [
            NamedEntry(
                cwe_id=cwe_id,
                name=row["name"],
                kind=kinds.get(row["abstraction"], "deprecated" if row["status"] == "Deprecated" else "weakness"),
                terms=tuple(row.get("terms", ())),
                former=tuple(row.get("former", ())),
            )
            for cwe_id, row in (self._weaknesses | self._groups).items()
        ]

    @cached_property
    def _names(self) -> NameIndex:
        return NameIndex(self._named)

    @cached_property
    def _search(self) -> CweSearch:
        return CweSearch(self._named)

    @cached_property
    def _preferences(self) -> PreferenceFinder:
        return PreferenceFinder(self)


def shipped_table() -> Path:
    """Return the path of the table inside the package."""
    return Path(__file__).parent / "data" / "cwe.json"


def installed_table() -> Path:
    """Return the path where ``ctiforge cwe use`` puts the user's table; it need not exist."""
    return user_data_dir() / "cwe.json"


def load_catalogue(path: str | os.PathLike[str] | None = None) -> CweCatalogue:
    """Return the catalogue in force; read once a process, and again when the file has changed.

    In this order: `path`, the environment variable ``CTIFORGE_CWE``, the table that ``ctiforge cwe use`` installed, the table
    shipped with the package. The first two may be a table or MITRE's XML (plain, .zip, .gz, .xz, .bz2), which takes about a
    second to read.

    Raises:
        CatalogueError: the file is missing, damaged or no catalogue.
    """
    chosen = Path(
        path or os.environ.get("CTIFORGE_CWE") or (installed_table() if installed_table().exists() else shipped_table())
    )
    try:
        stat = chosen.stat()
    except OSError as error:
        raise CatalogueError(
            f"{chosen}: the CWE catalogue cannot be read: {error.strerror}",
            fix="check the path (and the environment variable CTIFORGE_CWE), or ctiforge cwe use --shipped",
        ) from error
    return _load(chosen.resolve(), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _load(path: Path, mtime_ns: int, size: int) -> CweCatalogue:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CatalogueError(f"{path}: the CWE catalogue cannot be read: {error.strerror}", fix="check the path") from error
    if data.lstrip()[:1] != b"{":
        data = build_table(path)
    return CweCatalogue(data, str(path))


def build_table(xml_path: str | os.PathLike[str]) -> bytes:
    """Return the table for MITRE's XML at `xml_path`; see `ctiforge.sources.cwe_table.build_table`."""
    from ctiforge.sources import cwe_table  # an XML parser is not needed to classify

    return cwe_table.build_table(Path(xml_path))


def find_cwe2_xml() -> Path:
    """Return the path of the XML in the installed package ``cwe2``; see `ctiforge.sources.cwe_table.find_cwe2_xml`."""
    from ctiforge.sources import cwe_table  # as above

    return cwe_table.find_cwe2_xml()
