"""The past CVEs most similar to a text, with the CWEs that their parties assigned, from an index that the user built.

The search is exact: every entry is compared, by the cosine of the vectors that the model makes of the texts. A record never
finds itself: not by its ID, not by an alias, and not by an equal text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import cast, get_args

import numpy as np
import numpy.typing as npt

from ctiforge.classify.prediction import Prediction, SimilarCve
from ctiforge.classify.similar_index import IndexFiles, id_keys, open_index, text_key
from ctiforge.core.advisory import Advisory, Party
from ctiforge.core.errors import ModelError
from ctiforge.models.cwe_model import CweModel, ScoredTexts
from ctiforge.models.linear import Floats, LinearModel
from ctiforge.models.postings import Postings
from ctiforge.models.text_vectors import VectorModel, text_embeddings, text_ngrams, vector_model

__all__ = ["SimilarCves"]

_SHOWN = 3
_ENTRIES_AT_ONCE = 16_384
"""With 384 dimensions 25 MB in 32 bits."""

Rows = npt.NDArray[np.int64]


class SimilarCves:
    """An index of past CVEs, opened for the model that it was built with.

    Args:
        folder: what `ctiforge classify index` wrote.
        model: the classifier's model.
        before: find only CVEs published before this day; those without a date are then left out.

    Raises:
        ModelError: the index is missing, damaged, of another format, or of another model.
    """

    def __init__(self, folder: str | os.PathLike[str], model: CweModel, *, before: date | None = None) -> None:
        self._model = vector_model(model)
        self._index = open_index(folder)
        _check_model(folder, self._index, self._model, model.name)
        self._left_out: npt.NDArray[np.bool_] | None = None
        if before is not None:
            self._left_out = self._index.arrays["days"] >= before.toordinal()
        self._postings: Postings | None = None
        if self._index.kind == "tfidf":
            names = ("posting_bounds", "posting_rows", "posting_values", "scale")
            self._postings = Postings(*(self._index.arrays[name] for name in names))

    def __len__(self) -> int:
        return self._index.n

    def add(
        self, predictions: Sequence[Prediction], advisories: Sequence[Advisory], scored: ScoredTexts | None = None
    ) -> list[Prediction]:
        """Return the predictions of a batch, each with its similar CVEs; see `find`."""
        found = self.find(advisories, [each.text for each in predictions], scored)
        return [replace(each, similar=similar) for each, similar in zip(predictions, found, strict=True)]

    def find(
        self, advisories: Sequence[Advisory], texts: Sequence[str], scored: ScoredTexts | None = None
    ) -> list[tuple[SimilarCve, ...]]:
        """Return for each advisory up to three past CVEs, the most similar first; none for a text without known words.

        Args:
            texts: the text of each advisory, as it was classified.
            scored: what the classifier's model made of the texts; its vectors are then not computed again.
        """
        excluded = [self._own_rows(advisory, text) for advisory, text in zip(advisories, texts, strict=True)]
        if isinstance(self._model, LinearModel):
            features = text_ngrams(self._model, list(texts), scored)
            best = self._by_ngrams(
                [(features.ids[own], features.values[own]) for own in map(features.of, range(len(texts)))], excluded
            )
        else:
            embeddings = text_embeddings(self._model, list(texts), scored)
            embeddings[[not text.strip() for text in texts]] = 0
            best = self._by_embeddings(embeddings, excluded)
        return [
            tuple(self._similar(row, value) for row, value in found if value > 0) if text.strip() else ()
            for text, found in zip(texts, best, strict=True)
        ]

    def _own_rows(self, advisory: Advisory, text: str) -> list[int]:
        by_id = self._index.rows_of("id", id_keys(advisory, named=True))
        return by_id + self._index.rows_of("text", [text_key(text)])

    def _by_ngrams(
        self, queries: Sequence[tuple[npt.NDArray[np.int64], Floats]], excluded: Sequence[list[int]]
    ) -> Iterator[list[tuple[int, float]]]:
        assert self._postings is not None
        for (ids, values), own in zip(queries, excluded, strict=True):
            if not len(ids):
                yield []
                continue
            similar = self._postings.similarities(ids, values)
            similar[own] = -np.inf
            if self._left_out is not None:
                similar[self._left_out] = -np.inf
            (rows,), (values_found,) = _best(similar[None], np.arange(len(similar))[None])
            yield list(zip(rows.tolist(), values_found.tolist(), strict=True))

    def _by_embeddings(self, queries: Floats, excluded: Sequence[list[int]]) -> Iterator[list[tuple[int, float]]]:
        vectors, scale = self._index.arrays["vectors"], self._index.arrays["scale"]
        rows = np.zeros((len(queries), 0), dtype=np.int64)
        values = np.zeros((len(queries), 0), dtype=np.float32)
        for start in range(0, self._index.n, _ENTRIES_AT_ONCE):
            block = slice(start, start + _ENTRIES_AT_ONCE)
            similar: Floats = (queries @ vectors[block].astype(np.float32).T) * scale[block]
            for query, own in enumerate(excluded):
                similar[query, [row - start for row in own if start <= row < start + similar.shape[1]]] = -np.inf
            if self._left_out is not None:
                similar[:, self._left_out[block]] = -np.inf
            here = np.broadcast_to(np.arange(start, start + similar.shape[1]), similar.shape)
            rows, values = _best(np.hstack([values, similar]), np.hstack([rows, here]))
        yield from (list(zip(*pair, strict=True)) for pair in zip(rows.tolist(), values.tolist(), strict=True))

    def _similar(self, row: int, similarity: float) -> SimilarCve:
        entry = self._index.entry(row)
        parties = get_args(Party)
        assigned = tuple((cast(Party, party), cwe_id) for party, cwe_id in entry["assigned"] if party in parties)
        return SimilarCve(entry["id"], min(similarity, 1.0), assigned, entry["published"], entry["excerpt"])


def _best(similar: Floats, rows: Rows) -> tuple[Rows, Floats]:
    """Return the rows of the highest similarities of each query and these, highest first, equal ones in the order given."""
    k = min(_SHOWN, similar.shape[1])
    if k < similar.shape[1]:
        # All that reach the k-th value, so that which of equal ones are kept does not depend on the partition.
        least = np.partition(similar, similar.shape[1] - k, axis=1)[:, -k]
        chosen = [np.flatnonzero(each >= limit) for each, limit in zip(similar, least, strict=True)]
    else:
        chosen = [np.arange(similar.shape[1])] * len(similar)
    places = np.array([
        candidates[np.argsort(-each[candidates], kind="stable")[:k]]
        for each, candidates in zip(similar, chosen, strict=True)
    ], dtype=np.int64).reshape(len(similar), k)  # fmt: skip
    return np.take_along_axis(rows, places, axis=1), np.take_along_axis(similar, places, axis=1)


def _check_model(folder: str | os.PathLike[str], index: IndexFiles, model: VectorModel, asked: str) -> None:
    made = index.manifest.get("model", {})
    if made.get("digest") == model.digest:
        return
    raise ModelError(
        f"{folder}: the index was built with model {made.get('name')!r} (SHA-256 {str(made.get('digest'))[:12]}), but "
        f"{asked!r} compares texts by {model.name!r} (SHA-256 {model.digest[:12]})",
        fix=f"classify with the model of the index, or build it again: ctiforge classify index FEED... --out {folder} "
        f"--model {asked}",
    )
