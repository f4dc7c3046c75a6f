"""Import: feeds in, items with suggestions out; incremental, and whole batches or nothing.

- A record that the store has, and that this classifier has seen, changes nothing.
- A changed record is kept beside the old one. If the text, or what a party assigned, is another, a decided item is opened
  again.
- A record that its feed says is older than what the store has is left out.
- Every batch is one transaction, so that a stopped import goes on where it was when the same command is given again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import select

from ctiforge.classify.chunk_workers import map_chunks
from ctiforge.classify.feed import ClassifierSettings
from ctiforge.core.advisory import Advisory, Reject
from ctiforge.core.errors import SettingError
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.sources.duplicates import build_duplicate
from ctiforge.sources.read import ReadOptions, read_raw_records
from ctiforge.triage.batch_writer import BatchWriter
from ctiforge.triage.import_work import Draft, Imported, ImportWork, Known, classifier_key, fingerprint
from ctiforge.triage.record_json import advisory_from_json
from ctiforge.triage.schema import record_heads
from ctiforge.triage.store import TriageStore
from ctiforge.triage.values import ImportReport

__all__ = ["import_advisories"]


def import_advisories(
    store: TriageStore,
    paths: Iterable[str],
    settings: ClassifierSettings | None = None,
    *,
    actor: str = "import",
    read_options: ReadOptions | None = None,
    workers: int | None = None,
    on_reject: Callable[[Reject], None] | None = None,
    on_bytes: Callable[[int], None] | None = None,
    on_records: Callable[[int], None] | None = None,
) -> ImportReport:
    """Read feeds, classify what is new or changed, and bring the queue up to date.

    Args:
        paths: files, folders, ``-``: whatever `ctiforge classify` reads.
        settings: which classifier; the default one if None.
        actor: whom the audit trail names.
        workers: processes for large feeds; the number of cores if None.
        on_reject: called with every record that cannot be used, as soon as it is met.
        on_bytes: called with the number of bytes read from disk since its last call.
        on_records: called with the number of records done so far, after every batch.

    Raises:
        CtiforgeError: a setting is wrong, the model is missing, or a worker process died. Batches before it are written.
    """
    settings = settings or ClassifierSettings()
    if not actor.strip():
        raise SettingError("nobody is named as importing", fix="say who does it", about="reviewer")
    options = read_options or ReadOptions()
    work = ImportWork(settings, options, _known(store, classifier_key(settings.build(), settings)))
    importer = _Importer(store, actor, load_catalogue(), on_reject)
    done = 0
    for batch in map_chunks(read_raw_records(paths, options, on_bytes=on_bytes), work, workers):
        importer.write(batch)
        done += len(batch)
        if on_records:
            on_records(done)
    return importer.report()


def _known(store: TriageStore, classifier: str) -> frozenset[bytes]:
    heads = record_heads.c
    query = select(heads.item_id, heads.kind, heads.digest).where(heads.classifier == classifier)
    with store.reading() as connection:
        rows = connection.execute(query.execution_options(yield_per=1000))
        return frozenset(fingerprint(*row, classifier) for row in rows)


class _Importer:
    def __init__(
        self, store: TriageStore, actor: str, catalogue: CweCatalogue, on_reject: Callable[[Reject], None] | None
    ) -> None:
        self._store = store
        self._actor = actor
        self._catalogue = catalogue
        self._on_reject = on_reject
        self._seen: dict[tuple[str, str], str] = {}
        self._counts: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()

    def report(self) -> ImportReport:
        names = ("added", "changed", "reopened", "unchanged", "outdated")
        return ImportReport(rejected=dict(self._rejected), **{name: self._counts[name] for name in names})

    def write(self, batch: list[Imported]) -> None:
        """Write one batch; its counts are taken over when it is written."""
        drafts = list(self._new(batch))
        if drafts:
            with self._store.writing() as transaction:
                counts = BatchWriter(transaction, drafts, self._actor, self._catalogue).write()
            self._counts.update(counts)

    def _new(self, batch: list[Imported]) -> Iterator[Draft]:
        """Yield the drafts to write; count and report the others. Of equally new records of one feed the first counts."""
        for each in batch:
            if isinstance(each, Reject):
                self._reject(each)
                continue
            key = (each.item_id, each.kind)
            before = self._seen.get(key)
            if before is not None and each.modified <= before:
                # Not the whole advisory: what is reported is where it stands and that it came twice.
                source = advisory_from_json(each.columns["advisory"]).source if isinstance(each, Draft) else None
                if source is None:
                    self._counts["unchanged"] += 1
                else:
                    self._reject(build_duplicate(Advisory(each.item_id, source, "")))
                continue
            self._seen[key] = each.modified
            if isinstance(each, Known):
                self._counts["unchanged"] += 1
            else:
                yield each

    def _reject(self, reject: Reject) -> None:
        self._rejected[reject.reason] += 1
        if self._on_reject:
            self._on_reject(reject)
