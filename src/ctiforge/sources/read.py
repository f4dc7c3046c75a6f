"""Reading advisories: files, directories, archives and standard input in; `Advisory` and `Reject` out, as a stream.

Two steps, so that the second can run in other processes: `read_raw_records` finds files, takes compression off and cuts out
records; `parse_record` makes advisories of one of them. `read_advisories` does both. What happens to each format and each kind
of bad input is stated in docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from ctiforge.core.advisory import Advisory, Reject, RejectReason, SourceRef
from ctiforge.sources.compression import StreamError
from ctiforge.sources.duplicates import DuplicateFilter
from ctiforge.sources.encodings import to_utf8
from ctiforge.sources.formats import FORMATS
from ctiforge.sources.generic import choose_columns, missing_columns
from ctiforge.sources.json_split import JsonPiece, split_json
from ctiforge.sources.lines import LongLine, split_lines
from ctiforge.sources.options import FieldMap, ReadOptions
from ctiforge.sources.parse import parse_record
from ctiforge.sources.raw import RawRecord
from ctiforge.sources.rejects import build_reject
from ctiforge.sources.sniff import sniff_content
from ctiforge.sources.streams import HEAD_BYTES, ByteStream, open_streams, peek
from ctiforge.sources.tables import Table, TableRow, split_rows
from ctiforge.sources.walk import find_files, input_size

__all__ = [
    "FORMATS",
    "DuplicateFilter",
    "FieldMap",
    "RawRecord",
    "ReadOptions",
    "input_size",
    "parse_record",
    "read_advisories",
    "read_raw_records",
]

_DEFAULTS = ReadOptions()
_PIECE_REASONS: dict[str, tuple[RejectReason, str]] = {
    "junk": ("malformed_json", "text between records that is not JSON"),
    "broken": ("malformed_json", "the record does not close; reading went on at the next one"),
    "truncated": ("malformed_json", "the input ends inside this record"),
}


def read_advisories(
    paths: Iterable[str], options: ReadOptions = _DEFAULTS, *, duplicates: Literal["reject", "keep"] = "reject"
) -> Iterator[Advisory | Reject]:
    """Yield every record under `paths` as an advisory or a reject, in input order, in memory bounded by one record.

    Args:
        paths: files and directories; ``-`` is standard input.
        duplicates: what to do with an advisory whose ID an earlier one had.
    """
    unseen = DuplicateFilter() if duplicates == "reject" else None
    for raw in read_raw_records(paths, options):
        if isinstance(raw, Reject):
            yield raw
            continue
        for result in parse_record(raw, options):
            yield unseen(result) if unseen is not None and isinstance(result, Advisory) else result


def read_raw_records(
    paths: Iterable[str], options: ReadOptions = _DEFAULTS, *, on_bytes: Callable[[int], None] | None = None
) -> Iterator[RawRecord | Reject]:
    """Yield the records under `paths`, cut out but not parsed, and rejects for what cannot be cut out.

    Args:
        paths: files and directories; ``-`` is standard input.
        on_bytes: called with the number of bytes read from disk since its last call; they add up to `input_size`.
    """
    for found in find_files(paths):
        if isinstance(found, Reject):
            yield found
            continue
        for stream in open_streams(found, options, on_bytes):
            yield from _read_stream(stream, options)


def _read_stream(stream: ByteStream, options: ReadOptions) -> Iterator[RawRecord | Reject]:
    last = 1
    count = 0
    blocks = _guarded(to_utf8(stream.head[:4], stream.blocks), stream.trouble)
    head, blocks = peek(blocks, HEAD_BYTES)
    complete = len(head) < HEAD_BYTES
    if head or not stream.trouble:
        name = stream.member or stream.path
        content = sniff_content(head[:HEAD_BYTES], complete=complete, mixed=stream.mixed, name=name, options=options)
        if b"\r" in head and b"\n" not in head:
            blocks = (block.replace(b"\r", b"\n") for block in blocks)
        if content.kind == "unknown":
            yield build_reject(SourceRef(stream.path, 1, "", stream.member), "unknown_format", content.why, data=head)
            return
        if content.kind == "json":
            records = _cut_json(stream, blocks, options)
        elif content.table is not None:
            records = _cut_table(stream, blocks, content.table, options)
        else:
            records = _cut_lines(stream, blocks, "text" if content.kind == "text" else "json", options)
        for record in records:
            last = record.source.line
            count += 1
            yield record
    if stream.trouble:
        cause = stream.trouble[0]
        where = f" (after {count:,} records)" if count else ""
        yield build_reject(SourceRef(stream.path, last, "", stream.member), cause.reason, cause.detail + where)


def _guarded(blocks: Iterable[bytes], trouble: list[StreamError]) -> Iterator[bytes]:
    try:
        yield from blocks
    except StreamError as error:
        trouble.append(error)


def _cut_lines(
    stream: ByteStream, blocks: Iterable[bytes], family: Literal["json", "text"], options: ReadOptions
) -> Iterator[RawRecord | Reject]:
    path, member = stream.path, stream.member
    for number, line in enumerate(split_lines(blocks, options.max_record_bytes), 1):
        if isinstance(line, LongLine):
            source = SourceRef(path, number, family, member)
            yield build_reject(source, "too_large", _too_large(line.length, options), data=line.start)
        elif line and not line.isspace():
            yield RawRecord(SourceRef(path, number, family, member), line)


def _cut_json(stream: ByteStream, blocks: Iterable[bytes], options: ReadOptions) -> Iterator[RawRecord | Reject]:
    for piece in split_json(blocks, options.max_record_bytes):
        source = SourceRef(stream.path, piece.line, "json", stream.member)
        if piece.kind == "record":
            yield RawRecord(source, piece.data)
        else:
            yield _reject_piece(piece, source, options)


def _reject_piece(piece: JsonPiece, source: SourceRef, options: ReadOptions) -> Reject:
    if piece.kind == "too_large":
        return build_reject(source, "too_large", _too_large(None, options), data=piece.data)
    reason, detail = _PIECE_REASONS[piece.kind]
    if piece.kind == "truncated" and not piece.data:
        detail = "the input ends before the array of records is closed; records before it were read"
    return build_reject(source, reason, detail, data=piece.data)


def _too_large(length: int | None, options: ReadOptions) -> str:
    size = f"{length:,} bytes, " if length is not None else ""
    return f"the record has {size}more than the limit of {options.max_record_bytes:,} bytes"


def _cut_table(stream: ByteStream, blocks: Iterable[bytes], table: Table, options: ReadOptions) -> Iterator[RawRecord | Reject]:
    lines = split_lines(blocks, options.max_record_bytes)
    header: list[str] = []
    rows = 0
    for row in split_rows(lines, table, options.max_record_bytes, options.field_map):
        if isinstance(row, list):
            header = row
            if fault := _header_fault(row, table, options):
                source = SourceRef(stream.path, 1, table.format, stream.member)
                yield build_reject(source, "missing_field", f"the table was not read: {fault}", data=table.delimiter.join(row))
                return
            continue
        rows += 1
        source = SourceRef(stream.path, row.line, table.format, stream.member)
        if isinstance(row, TableRow):
            yield RawRecord(source, row.cells, row.notes)
        else:
            yield build_reject(source, row.reason, row.detail, data=row.data)
    if header and not rows:
        source = SourceRef(stream.path, 1, table.format, stream.member)
        yield build_reject(source, "malformed_row", "the table has a header and no rows", data=table.delimiter.join(header))


def _header_fault(names: list[str], table: Table, options: ReadOptions) -> str:
    if table.format == "kev":
        return ""
    if options.field_map is not None:
        return missing_columns(options.field_map, names)
    chosen = choose_columns(names)
    if "description" in chosen or "title" in chosen:
        return ""
    return f"no column looks like a description among {', '.join(names)[:120]}; name it with --map description=COLUMN"
