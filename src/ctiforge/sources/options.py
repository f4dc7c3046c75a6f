"""What a user can set about reading: the format, a field map, and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ctiforge.core.errors import SettingError, did_you_mean
from ctiforge.sources.formats import FORMATS

__all__ = ["OUR_FIELDS", "FieldMap", "ReadOptions"]

OUR_FIELDS: tuple[str, ...] = ("id", "description", "title", "cwe", "published", "modified")
"""Names that stand left of the equals sign in ``--map``."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Columns of CSV and TSV files, and fields of JSON objects, that hold what an `Advisory` needs.

    Attributes:
        fields: our name to theirs. Ours are `OUR_FIELDS`. Theirs is a column, or for JSON a dotted path such as ``cve.id``;
            a number in a path is a position in a list.
    """

    fields: Mapping[str, str]

    def __post_init__(self) -> None:
        for ours, theirs in self.fields.items():
            if ours not in OUR_FIELDS:
                guess = did_you_mean(ours, OUR_FIELDS)
                raise SettingError(
                    f"--map: {ours!r} is not a field of an advisory{'; ' + guess if guess else ''}",
                    fix=f"use one of {', '.join(OUR_FIELDS)} left of '=', e.g. --map id=URL,description=Description",
                )
            if not theirs.strip():
                raise SettingError(f"--map: {ours!r} is mapped to nothing", fix=f"write the column's name: {ours}=COLUMN")

    def __reduce__(self) -> tuple[type[FieldMap], tuple[dict[str, str]]]:
        return FieldMap, (dict(self.fields),)

    @classmethod
    def parse(cls, text: str) -> FieldMap:
        """Parse ``id=URL,description=Description``.

        Raises:
            SettingError: a part without ``=``, an unknown or repeated name on the left, or nothing on the right.
        """
        fields: dict[str, str] = {}
        for part in text.split(","):
            ours, equals, theirs = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise SettingError(
                    f"--map: {part.strip()!r} has no '='", fix="write pairs such as --map id=URL,description=Description"
                )
            if ours in fields:
                raise SettingError(f"--map: {ours!r} is given twice", fix="keep one of them")
            fields[ours] = theirs
        return cls(MappingProxyType(fields))


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read, and where to stop reading something hostile.

    Attributes:
        format: a name of `FORMATS` instead of detection from content.
        field_map: used for CSV, TSV and JSON objects that have the mapped description.
        max_record_bytes: largest single record, in bytes before parsing.
        max_depth: deepest nesting of JSON objects and arrays in one record.
        max_expanded_bytes: most bytes that one compressed file may expand to. A ratio limit applies beside it, see
            `ctiforge.sources.compression`.
    """

    format: str | None = None
    field_map: FieldMap | None = None
    max_record_bytes: int = 64 * 2**20
    max_depth: int = 200
    max_expanded_bytes: int = 16 * 2**30

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            guess = did_you_mean(self.format, FORMATS)
            raise SettingError(
                f"unknown format {self.format!r}{'; ' + guess if guess else ''}", fix=f"use one of {', '.join(FORMATS)}"
            )
