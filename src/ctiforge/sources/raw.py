"""`RawRecord`: one record cut out of a file, not parsed yet, cheap to send to a worker process."""

from __future__ import annotations

from dataclasses import dataclass

from ctiforge.core.advisory import SourceRef

__all__ = ["RawRecord"]


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One unparsed record.

    Attributes:
        source: where it stands; `format` is the family found so far (``json`` where the record itself decides).
        payload: the bytes of one JSON value, the bytes of one line of text, or one row of a table by column name.
        notes: what had to be repaired to cut it out; copied to `Advisory.notes`.
    """

    source: SourceRef
    payload: bytes | dict[str, str]
    notes: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        # Three times faster than the pickling that dataclasses with slots get by default.
        source = self.source
        return _restore, (source.path, source.line, source.format, source.member, self.payload, self.notes)


def _restore(
    path: str,
    line: int,
    family: str,
    member: str,
    payload: bytes | dict[str, str],
    notes: tuple[str, ...],
) -> RawRecord:
    return RawRecord(SourceRef(path, line, family, member), payload, notes)
