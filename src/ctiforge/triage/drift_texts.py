"""How far the texts of a period are from the reference's, by a model's vectors of a sample of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from ctiforge.classify.classifier import load_model
from ctiforge.core.files import sha256
from ctiforge.models.linear import LinearModel
from ctiforge.models.text_vectors import VectorModel, text_embeddings, text_ngrams, vector_model
from ctiforge.triage.drift_measures import Measure, text_shift
from ctiforge.triage.join_records import advisory_text
from ctiforge.triage.record_json import advisory_from_json
from ctiforge.triage.schema import items
from ctiforge.triage.store import TriageStore

__all__ = ["TextShifts"]

_TEXTS: Final = 300
_SIZE: Final = 512
"""Dimensions that n-grams are hashed to."""
_MOST_KEPT: Final = 2000

Rows = Sequence[Mapping[str, Any]]


class TextShifts:
    """Measures the shift of texts, and keeps what it has measured: reviews change no text, so most reports ask for it again.

    Args:
        model: a bundled model or a model folder; it is loaded when it is first needed.
    """

    def __init__(self, model: str) -> None:
        self._name = model
        self._model: VectorModel | None = None
        self._reference: tuple[str, npt.NDArray[np.float64]] = ("", np.zeros((0, 0)))
        self._kept: dict[tuple[str, str, float], Measure] = {}

    def measure(self, store: TriageStore, reference: Rows, period: Rows, threshold: float) -> Measure:
        """Return the shift from one sample to another; the same texts give the same answer every time.

        Args:
            reference, period: rows with ``item_id`` and ``text_digest``.

        Raises:
            ModelError: the model cannot be loaded.
        """
        before, now = _sample(reference), _sample(period)
        key = (_key(before), _key(now), threshold)
        if key not in self._kept:
            if self._reference[0] != key[0]:
                self._reference = (key[0], self._vectors(store, before))
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = text_shift(self._reference[1], self._vectors(store, now), threshold)
        return self._kept[key]

    def _vectors(self, store: TriageStore, rows: Rows) -> npt.NDArray[np.float64]:
        ids = [row["item_id"] for row in rows]
        with store.reading() as connection:
            found = connection.execute(select(items.c.advisory).where(items.c.item_id.in_(ids)).order_by(items.c.item_id))
            texts = [advisory_text(advisory_from_json(each)) for each in found.scalars()]
        if self._model is None:
            self._model = vector_model(load_model(self._name))
        if not isinstance(self._model, LinearModel):
            return text_embeddings(self._model, texts).astype(np.float64)
        features = text_ngrams(self._model, texts)
        hashed = np.zeros((len(texts), _SIZE))
        signs = np.where(features.ids * 2654435761 % 8191 % 2, 1.0, -1.0)
        rows_of = np.repeat(np.arange(len(texts)), np.diff(features.bounds))
        np.add.at(hashed, (rows_of, features.ids % _SIZE), features.values * signs)
        lengths = np.linalg.norm(hashed, axis=1, keepdims=True)
        unit: npt.NDArray[np.float64] = hashed / np.maximum(lengths, 1e-12)
        return unit


def _sample(rows: Rows) -> Rows:
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:_TEXTS])
    return [rows[number] for number in chosen]


def _key(rows: Rows) -> str:
    return sha256("\n".join(f"{row['item_id']} {row['text_digest']}" for row in rows).encode())
