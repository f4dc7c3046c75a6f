"""Build an index of past CVEs: records in, an index folder out, in one pass and in constant memory but for the IDs seen."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ctiforge import __version__
from ctiforge.classify.similar_index import INDEX_FORMAT, advisory_text, read_index_manifest
from ctiforge.classify.similar_writer import IndexEntry, IndexWriter
from ctiforge.core.advisory import Advisory, Reject
from ctiforge.core.errors import InputError, ModelError
from ctiforge.core.files import file_sha256, write_json
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.text_vectors import vector_model
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.duplicates import DuplicateFilter
from ctiforge.sources.read import RawRecord, ReadOptions, parse_record

__all__ = ["IndexReport", "build_similar_index"]

_TEXTS_AT_ONCE = 256
_DATA = "data-"


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What was built: the folder, number of entries, bytes on disk, and how many records left by which reason."""

    folder: Path
    entries: int
    size: int
    left_out: Counter[str]


@dataclass(slots=True)
class _Progress:
    """Counted while the index is built: records read, entries kept, and what left by which reason."""

    records: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def build_similar_index(
    raws: Iterable[RawRecord | Reject],
    folder: str | os.PathLike[str],
    model: CweModel,
    *,
    catalogue: CweCatalogue,
    read_options: ReadOptions | None = None,
    sources: Iterable[dict[str, Any]] = (),
    on_record: Callable[[int], None] = lambda n: None,
    on_reject: Callable[[Reject], None] = lambda reject: None,
) -> IndexReport:
    """Index every record that has a text and a CWE of any party; of several with one ID the first.

    The index in `folder` stays as it is until the new one is complete; then the new one takes its place at once.

    Args:
        raws: what `ctiforge.sources.read.read_raw_records` yields.
        model: makes the vectors; the index can be used with it alone.
        catalogue: turns CWE names without a number into IDs.
        sources: what the manifest says of the feeds, see `describe_sources`.
        on_record: called with the number of records read.
        on_reject: called with every record that could not be read.

    Raises:
        InputError: no record has a text and a CWE, or the folder cannot be written.
        ModelError: the folder holds something else.
    """
    target = Path(folder)
    _refuse_other_artefact(target)
    progress = _Progress()
    vectors = vector_model(model)
    data = target / f"{_DATA}{secrets.token_hex(4)}"
    try:
        data.mkdir(parents=True)
        kept = _kept(raws, read_options or ReadOptions(), catalogue, progress, on_record, on_reject)
        with IndexWriter(data, vectors) as writer:
            while batch := list(islice(kept, _TEXTS_AT_ONCE)):
                progress.left_out["no_known_word"] += writer.add(batch)
        left_out = +progress.left_out
        if not writer.n:
            raise InputError(
                f"not one of {progress.records:,} records has a text and a CWE: nothing to index{_reasons(left_out)}",
                fix="name feeds whose records carry CWEs, such as CVE JSON 5 or NVD",
            )
        writer.finish()
        manifest = {
            "format": INDEX_FORMAT,
            "kind": writer.kind,
            "model": {"name": vectors.name, "digest": vectors.digest},
            "entries": writer.n,
            "size": writer.size,
            "data": data.name,
            "files": {path.name: file_sha256(path) for path in sorted(data.iterdir())},
            "records": progress.records,
            "left_out": dict(sorted(left_out.items())),
            "sources": list(sources),
            "cwe_version": catalogue.version,
            "ctiforge": __version__,
        }
        write_json(target / "manifest.json", manifest)
    except OSError as error:
        shutil.rmtree(data, ignore_errors=True)
        why = f"{target}: cannot write the index there ({error.strerror})"
        raise InputError(why, fix="free some space, or name another --out") from None
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        raise
    for other in target.glob(f"{_DATA}*"):  # the index before, and what killed builds have left
        if other != data:
            shutil.rmtree(other, ignore_errors=True)
    return IndexReport(target, writer.n, sum(path.stat().st_size for path in data.iterdir()), left_out)


def _refuse_other_artefact(folder: Path) -> None:
    if not (folder / "manifest.json").exists():
        return
    try:
        read_index_manifest(folder)
    except ModelError as error:
        raise ModelError(f"{error.message}; it is not replaced", fix="name another --out, or remove that folder") from None


def _reasons(left_out: Counter[str]) -> str:
    return f" ({', '.join(f'{reason} {n:,}' for reason, n in left_out.most_common())})" if left_out else ""


def _kept(
    raws: Iterable[RawRecord | Reject],
    options: ReadOptions,
    catalogue: CweCatalogue,
    progress: _Progress,
    on_record: Callable[[int], None],
    on_reject: Callable[[Reject], None],
) -> Iterator[IndexEntry]:
    """Yield the records to index; count the others by reason."""
    seen = DuplicateFilter()
    for raw in raws:
        for result in [raw] if isinstance(raw, Reject) else parse_record(raw, options):
            progress.records += 1
            on_record(progress.records)
            if isinstance(result, Reject):
                progress.left_out[result.reason] += 1
                on_reject(result)
            elif not advisory_text(result).strip():
                progress.left_out["no_description"] += 1
            elif not (assigned := _assigned(result, catalogue)):
                progress.left_out["no_cwe"] += 1
            elif isinstance(seen(result), Reject):
                progress.left_out["duplicate_id"] += 1
            else:
                yield IndexEntry(result, assigned)


def _assigned(advisory: Advisory, catalogue: CweCatalogue) -> list[tuple[str, str]]:
    pairs = ((each.party, each.cwe_id or catalogue.resolve(each.text)) for each in advisory.weaknesses)
    return list(dict.fromkeys((party, cwe_id) for party, cwe_id in pairs if cwe_id))
