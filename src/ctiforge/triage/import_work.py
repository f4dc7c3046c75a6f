"""What a worker process does to a chunk of a feed: parse, leave out what the store has, classify the rest, make rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctiforge.classify.chunk_workers import Raw
from ctiforge.classify.classifier import Classifier
from ctiforge.classify.feed import ClassifierSettings
from ctiforge.classify.prediction import Prediction
from ctiforge.core.advisory import Advisory, Reject
from ctiforge.core.files import sha256
from ctiforge.sources.read import ReadOptions, parse_record
from ctiforge.triage.item_columns import advisory_columns, prediction_columns
from ctiforge.triage.record_json import advisory_digest, item_key, prediction_json

__all__ = ["Draft", "ImportWork", "Imported", "Known", "classifier_key", "fingerprint"]


@dataclass(frozen=True, slots=True)
class Known:
    """A record that the store has as it is, seen by the same classifier."""

    item_id: str
    kind: str
    modified: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that the store may not have, with the columns that it would get as an item of its own.

    Attributes:
        kind: format of the feed.
        columns: of `items`; ``advisory`` is the record itself.
        suggestion: of `suggestions`, without numbers and times.
    """

    item_id: str
    kind: str
    modified: str
    digest: str
    columns: dict[str, Any]
    suggestion: dict[str, Any]


Imported = Draft | Known | Reject


def classifier_key(classifier: Classifier, settings: ClassifierSettings) -> str:
    """Return what names a classifier with all that its answers depend on."""
    parts = (
        classifier.model.digest,
        classifier.catalogue.digest,
        classifier.policy,
        f"{classifier.threshold:.6f}",
        str(settings.top_k),
        str(classifier.view),
    )
    return sha256("\n".join(parts).encode())[:16]


def fingerprint(item_id: str, kind: str, digest: str, classifier: str) -> bytes:
    """Return 16 bytes by which a record, seen by a classifier, is known again."""
    return hashlib.blake2b("\0".join((item_id, kind, digest, classifier)).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class ImportWork:
    """What every process is given.

    Attributes:
        known: fingerprints of what the store has.
    """

    settings: ClassifierSettings
    read_options: ReadOptions
    known: frozenset[bytes]

    def build(self) -> _Worker:
        """Load the classifier."""
        return _Worker(self)


class _Worker:
    def __init__(self, work: ImportWork) -> None:
        self._options = work.read_options
        self._known = work.known
        self._classifier = work.settings.build()
        self._key = classifier_key(self._classifier, work.settings)

    def __call__(self, chunk: Sequence[Raw]) -> list[Imported]:
        found: list[Imported | tuple[Advisory, str]] = []
        for raw in chunk:
            for record in [raw] if isinstance(raw, Reject) else parse_record(raw, self._options):
                found.append(record if isinstance(record, Reject) else self._look_up(record))
        new = [each for each in found if isinstance(each, tuple)]
        predictions = iter(self._classifier.classify(advisory for advisory, _ in new))
        return [self._draft(*each, next(predictions)) if isinstance(each, tuple) else each for each in found]

    def _look_up(self, advisory: Advisory) -> Known | tuple[Advisory, str]:
        digest = advisory_digest(advisory)
        item_id, kind = item_key(advisory.id), advisory.source.format
        if fingerprint(item_id, kind, digest, self._key) in self._known:
            return Known(item_id, kind, advisory.modified)
        return advisory, digest

    def _draft(self, advisory: Advisory, digest: str, prediction: Prediction) -> Draft:
        return Draft(
            item_id=item_key(advisory.id),
            kind=advisory.source.format,
            modified=advisory.modified,
            digest=digest,
            columns=advisory_columns(advisory, self._classifier.catalogue) | prediction_columns(prediction, advisory),
            suggestion={
                "classifier": self._key,
                "model": prediction.model,
                "model_digest": prediction.model_digest,
                "cwe_version": prediction.cwe_version,
                "policy": prediction.policy,
                "threshold": self._classifier.threshold,
                "prediction": prediction_json(prediction),
            },
        )
