"""The part of a build that is read whole: identifiers, names, what was withdrawn, and columns to filter by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from ctiforge.ask.objects import OBJECT_KINDS, KnowledgeObject, Passage
from ctiforge.core.errors import SettingError, did_you_mean

__all__ = ["Lookup", "fold_name", "write_lookup"]

_TABLE: Final = "lookup.json"
_COLUMNS: Final = ("object_row", "object_kind", "day", "first_passage")


def fold_name(text: str) -> str:
    """Return a name as it is compared: lower case, hyphens and underscores as spaces, one space between words."""
    return " ".join(text.casefold().replace("-", " ").replace("_", " ").split())


def _day_number(day: str) -> int:
    """``2024-03-04`` as 20240304; 0 for none. Only a beginning with a full date counts."""
    digits = day[:10].replace("-", "")
    return int(digits) if len(digits) == 8 and digits.isdigit() else 0


def write_lookup(
    folder: Path,
    objects: Sequence[KnowledgeObject],
    passages: Sequence[Passage],
    redirects: Mapping[str, str],
    withdrawn: Iterable[str],
) -> None:
    """Write ``lookup.json`` and a column a file. Passages must be sorted by the place of their object in `objects`.

    Columns: ``object_row`` int32 (passages,), ``object_kind`` uint8 (objects,), ``day`` int32 (passages,) the latest day on
    which an object that the passage is about came to be, ``first_passage`` int32 (objects + 1,).
    """
    row_of = {each.id: row for row, each in enumerate(objects)}
    names: dict[str, list[str]] = {}
    groups: dict[str, dict[str, list[int]]] = {"platforms": {}, "tactics": {}}
    for row, each in enumerate(objects):
        short = each.name.rpartition(": ")[2] if each.kind == "technique" else each.name
        for name in dict.fromkeys(map(fold_name, (each.name, short, *each.aliases))):
            names.setdefault(name, []).append(each.id)
        for platform in dict.fromkeys(map(fold_name, each.platforms)):
            groups["platforms"].setdefault(platform, []).append(row)
        tactics = [*each.tactics, *([each.name] if each.kind == "tactic" else [])]
        for tactic in dict.fromkeys(map(fold_name, tactics)):
            groups["tactics"].setdefault(tactic, []).append(row)
    table = {
        "ids": list(row_of), "names": names, "redirects": dict(redirects), "withdrawn": sorted(withdrawn), **groups,
    }  # fmt: skip
    (folder / _TABLE).write_bytes(orjson.dumps(table))
    days = {each.id: _day_number(each.created) for each in objects}
    object_row = np.array([row_of[each.object_id] for each in passages], dtype=np.int32)
    columns: dict[str, npt.NDArray[Any]] = {
        "object_row": object_row,
        "object_kind": np.array([OBJECT_KINDS.index(each.kind) for each in objects], dtype=np.uint8),
        "day": np.array(
            [max(days.get(one, 0) for one in each.object_ids) if days[each.object_id] else 0 for each in passages],
            dtype=np.int32,
        ),
        "first_passage": np.searchsorted(object_row, np.arange(len(objects) + 1)).astype(np.int32),
    }
    for name, column in columns.items():
        np.save(folder / f"{name}.npy", column, allow_pickle=False)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What `write_lookup` wrote."""

    row_of: Mapping[str, int]
    names: Mapping[str, list[str]]
    redirects: Mapping[str, str]
    withdrawn: frozenset[str]
    platforms: Mapping[str, list[int]]
    tactics: Mapping[str, list[int]]
    object_row: npt.NDArray[np.int32]
    object_kind: npt.NDArray[np.uint8]
    day: npt.NDArray[np.int32]
    first_passage: npt.NDArray[np.int32]

    @classmethod
    def load(cls, folder: Path) -> Lookup:
        """Read a build's lookup."""
        table: dict[str, Any] = orjson.loads((folder / _TABLE).read_bytes())
        columns = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _COLUMNS}
        ids = table.pop("ids")
        table["withdrawn"] = frozenset(table["withdrawn"])
        return cls(row_of={each: row for row, each in enumerate(ids)}, **table, **columns)

    def mask(
        self, kinds: Iterable[str] | None, platform: str | None, tactic: str | None, before: str | None
    ) -> npt.NDArray[np.bool_] | None:
        """Return which passages pass all filters that are given, bool, shape (passages,); None if none is given.

        Raises:
            SettingError: a kind, platform or tactic is unknown, or `before` is no ISO 8601 day.
        """
        if kinds is None and platform is None and tactic is None and before is None:
            return None
        kept = np.ones(len(self.object_kind), dtype=bool)
        if kinds is not None:
            kept &= np.isin(self.object_kind, [_index(kind, OBJECT_KINDS, "kind") for kind in kinds])
        for wanted, rows, what in ((platform, self.platforms, "platform"), (tactic, self.tactics, "tactic")):
            if wanted is not None:
                name = fold_name(wanted)
                _index(name, tuple(rows), what)
                member = np.zeros(len(kept), dtype=bool)
                member[rows[name]] = True
                kept &= member
        mask = kept[self.object_row]
        if before is not None:
            limit = _day_number(before)
            if not limit:
                raise SettingError(f"{before!r} is no day", fix="write it as in 2024-03-31")
            mask &= (self.day > 0) & (self.day < limit)
        return mask


def _index(name: str, known: tuple[str, ...], what: str) -> int:
    if name not in known:
        listed = ", ".join(sorted(known)[:40]) or "there are none in this knowledge base"
        raise SettingError(f"no object has the {what} {name!r}", fix=did_you_mean(name, known) or f"use one of: {listed}")
    return known.index(name)
