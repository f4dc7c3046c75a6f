"""One raw record to advisories; a pure function, so that worker processes can do it."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from ctiforge.core.advisory import Advisory, Reject, SourceRef
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.csaf import build_csaf
from ctiforge.sources.cve5 import build_cve5
from ctiforge.sources.encodings import NUL_NOTE, decode_repairing
from ctiforge.sources.formats import JSON_FORMATS, detect_record_format, nested_records
from ctiforge.sources.generic import build_generic, choose_columns, lookup
from ctiforge.sources.ghsa import build_ghsa
from ctiforge.sources.json_brackets import nesting_exceeds
from ctiforge.sources.json_resync import find_container
from ctiforge.sources.json_split import split_json
from ctiforge.sources.kev import build_kev
from ctiforge.sources.nvd import build_nvd1, build_nvd2
from ctiforge.sources.options import ReadOptions
from ctiforge.sources.osv import build_osv
from ctiforge.sources.raw import RawRecord
from ctiforge.sources.rejects import build_reject, render_excerpt

__all__ = ["parse_record"]

_BUILDERS = {
    "cve5": build_cve5,
    "nvd1": build_nvd1,
    "nvd2": build_nvd2,
    "osv": build_osv,
    "ghsa": build_ghsa,
    "kev": build_kev,
}
_DEFAULTS = ReadOptions()
_SALVAGE_NOTE = "the document around this record is damaged; the record was read on its own"


def parse_record(raw: RawRecord, options: ReadOptions = _DEFAULTS) -> list[Advisory | Reject]:
    """Parse one raw record.

    Returns:
        One advisory or reject; several for a CSAF document or another array of records; none only for a document whose
        array of records is empty. Never raises for anything in `raw`.
    """
    payload, source = raw.payload, raw.source
    if isinstance(payload, dict):
        row = build_kev(payload, source) if source.format == "kev" else build_generic(payload, source, options.field_map)
        return _finished([row], raw.notes, " | ".join(payload.values()))
    if source.format != "text":
        return _finished(_parse_json(payload, source, options), raw.notes, payload)
    text, notes = decode_repairing(payload)
    if "\0" in text:
        text, notes = text.replace("\0", ""), (*notes, NUL_NOTE)
    text = text.strip()
    return _finished([Advisory(_leading_id(text) or str(source), source, text)], raw.notes + notes, payload)


def _finished(results: list[Advisory | Reject], notes: tuple[str, ...], data: bytes | str) -> list[Advisory | Reject]:
    """Add what only the caller of the builders knows: notes on repairs, and the start of the record that was rejected."""
    for place, one in enumerate(results):
        if isinstance(one, Reject):
            if not one.excerpt:
                results[place] = dataclasses.replace(one, excerpt=render_excerpt(data))
        elif notes:
            results[place] = dataclasses.replace(one, notes=notes + one.notes)
    return results


def _leading_id(text: str) -> str | None:
    """Return the CVE ID that a line starts with; one further on may be another vulnerability's."""
    first = text.split(None, 1)[0].strip(":;,.()[]") if text else ""
    return parse_cve_id(first)


def _parse_json(data: bytes, source: SourceRef, options: ReadOptions) -> list[Advisory | Reject]:
    if nesting_exceeds(data, options.max_depth):
        detail = f"objects and arrays nest more than {options.max_depth} deep"
        return [build_reject(source, "too_deep", detail, data=data)]
    notes: tuple[str, ...] = ()
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        text, notes = decode_repairing(data)
        if not notes:
            return _damaged(data, source, options, error)
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as second:
            return _damaged(data, source, options, second)
    if isinstance(value, dict):
        return _finished(_build(value, source, options), notes, data)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _finished([result for item in value for result in _build(item, source, options)], notes, data)
    detail = f"expected an object, found {_kind(value)}"
    return [build_reject(source, "malformed_json", detail, data=data)]


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, list):
        return "an empty array" if not value else "an array of other things than objects"
    return "a text" if isinstance(value, str) else "a number"


def _build(record: dict[str, Any], source: SourceRef, options: ReadOptions) -> list[Advisory | Reject]:
    mapped = options.field_map is not None and lookup(record, options.field_map.fields.get("description", "")) is not None
    found = None if mapped else detect_record_format(record)
    if found is None and not mapped and "description" not in choose_columns(record):
        entries = nested_records(record)
        if entries is not None:
            return [result for entry in entries for result in _build_entry(entry, source, options)]
    name = "jsonl" if mapped else options.format if options.format in JSON_FORMATS else found or "jsonl"
    place = SourceRef(source.path, source.line, name, source.member)
    if name == "csaf":
        return build_csaf(record, place)
    if (builder := _BUILDERS.get(name)) is not None:
        return [builder(record, place)]
    return [build_generic(record, place, options.field_map)]


def _build_entry(entry: Any, source: SourceRef, options: ReadOptions) -> list[Advisory | Reject]:
    if isinstance(entry, dict):
        return _build(entry, source, options)
    return [
        build_reject(source, "malformed_json", f"expected an object in the array, found {_kind(entry)}", data=repr(entry)[:200])
    ]


def _damaged(data: bytes, source: SourceRef, options: ReadOptions, error: orjson.JSONDecodeError) -> list[Advisory | Reject]:
    """Reject a record that does not parse, after reading the entries of its array of records, if it has one."""
    if "depth limit" in error.msg:
        return [build_reject(source, "too_deep", "objects and arrays nest deeper than the parser allows", data=data)]
    hint = "; it holds a NUL byte" if b"\0" in data else ""
    detail = f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno} of the record{hint})"
    results: list[Advisory | Reject] = [build_reject(source, "malformed_json", detail, data=data)]
    place = find_container(data)
    if place < 0:
        return results
    first_line = source.line + data.count(b"\n", 0, place)
    for piece in split_json([data[place:]], options.max_record_bytes):
        at = SourceRef(source.path, first_line + piece.line - 1, source.format, source.member)
        if piece.kind != "record":
            continue  # part of the document already rejected above
        try:
            entry = orjson.loads(piece.data)
        except orjson.JSONDecodeError:
            results.append(build_reject(at, "malformed_json", "not valid JSON, inside a damaged document", data=piece.data))
            continue
        if isinstance(entry, dict) and detect_record_format(entry) is None and b'"document"' in data[:place]:
            entry = {"document": {"tracking": {}}, "vulnerabilities": [entry]}
        results += _finished(_build_entry(entry, at, options), (_SALVAGE_NOTE,), piece.data)
    return results
