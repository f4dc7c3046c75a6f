"""Write the files of an index of past CVEs, batch by batch; see `ctiforge.classify.similar_index`."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import orjson

from ctiforge.classify.similar_index import ARRAYS, ENTRIES, UNDATED, VectorKind, advisory_text, id_keys, text_key
from ctiforge.core.advisory import Advisory
from ctiforge.models.linear import Floats, Integers, LinearModel
from ctiforge.models.postings import quantize_tfidf
from ctiforge.models.text_vectors import VectorModel, text_embeddings
from ctiforge.sources.labelled_cves import parse_day

__all__ = ["IndexEntry", "IndexWriter"]

_EXCERPT = 200
_VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A record to index, and what its parties assigned: pairs of party and CWE ID."""

    advisory: Advisory
    assigned: list[tuple[str, str]]


class IndexWriter:
    """Appends entries to the files of a data folder; `finish` sorts and turns round what is looked up from the other side.

    A context manager: leaving it closes the files, and `finish` comes after it.

    Args:
        folder: empty; see `ctiforge.classify.similar_index`.
        model: makes the vectors.

    Attributes:
        kind, size: what the vectors are, and their number of dimensions or n-grams.
        n: number of entries so far.
    """

    def __init__(self, folder: Path, model: VectorModel) -> None:
        self._folder = folder
        self._model = model
        self.kind: VectorKind = "tfidf" if isinstance(model, LinearModel) else "embeddings"
        self.size = model.vocabulary_size if isinstance(model, LinearModel) else 0
        self.n = 0
        self._counts = np.zeros(self.size, dtype=np.int64)
        self._keys = {"id": (array("Q"), array("i")), "text": (array("Q"), array("i"))}
        self._end = 0
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> IndexWriter:
        self._write("bounds", np.zeros(1, dtype=np.int64))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, entries: Sequence[IndexEntry]) -> int:
        """Append entries, and return how many of them were left out because their text has no word that the model knows."""
        texts = [advisory_text(each.advisory) for each in entries]
        if isinstance(self._model, LinearModel):
            kept = self._add_ngrams(self._model, texts)
        else:
            kept = self._add_embeddings(text_embeddings(self._model, texts))
        for place in kept:
            self._add_entry(entries[place], texts[place])
        return len(texts) - len(kept)

    def _add_ngrams(self, model: LinearModel, texts: list[str]) -> list[int]:
        features = model.features(texts)
        values, scale = quantize_tfidf(features)
        lengths = np.diff(features.bounds)
        kept = np.flatnonzero(lengths)
        rows = np.repeat(np.cumsum(lengths > 0) - 1, lengths) + self.n
        there = np.flatnonzero(values)
        self._counts += np.bincount(features.ids[there], minlength=self.size)
        for name, given in (("ids", features.ids[there]), ("rows", rows[there])):
            self._write(f"forward_{name}", given.astype("<i4"))
        self._write("forward_values", values[there])
        self._write("scale", scale[kept])
        return [int(place) for place in kept]

    def _add_embeddings(self, vectors: Floats) -> list[int]:
        self.size = vectors.shape[1]
        scale = np.abs(vectors).max(axis=1) / np.float32(127)
        kept = np.flatnonzero(scale > 0)
        self._write("vectors", np.rint(vectors[kept] / scale[kept, None]).astype(np.int8))
        self._write("scale", scale[kept])
        return [int(place) for place in kept]

    def _add_entry(self, given: IndexEntry, text: str) -> None:
        advisory = given.advisory
        day = parse_day(advisory.published)
        entry = {
            "id": _one_line(advisory.id),
            "assigned": given.assigned,
            "published": day.isoformat() if day else "",
            "excerpt": _one_line(text, _EXCERPT),
        }
        line = orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
        self._stream(ENTRIES).write(line)
        self._end += len(line)
        self._write("bounds", np.array([self._end], dtype=np.int64))
        self._write("days", np.array([day.toordinal() if day else UNDATED], dtype=np.int32))
        for kind, keys in (("id", id_keys(advisory)), ("text", {text_key(text)})):
            hashes, rows = self._keys[kind]
            hashes.extend(sorted(keys))
            rows.extend([self.n] * len(keys))
        self.n += 1

    def finish(self) -> None:
        """Write the sorted keys and, for n-grams, the postings."""
        for kind, (hashes, rows) in self._keys.items():
            keys = np.array(hashes, dtype="<u8")
            order = np.argsort(keys, kind="stable")
            (self._folder / f"{kind}_keys.bin").write_bytes(keys[order].tobytes())
            (self._folder / f"{kind}_rows.bin").write_bytes(np.array(rows, dtype="<i4")[order].tobytes())
        if self.kind == "tfidf":
            self._turn_round()
        for path in self._folder.iterdir():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())

    def _turn_round(self) -> None:
        """Order the values by n-gram: each goes where its n-gram's next place is. What was written by row is removed."""
        bounds = np.concatenate([[0], np.cumsum(self._counts)])
        bounds.astype("<i8").tofile(self._folder / "posting_bounds.bin")
        total = int(bounds[-1])
        forward = [(name, np.dtype(kind)) for name, kind in (("ids", "<i4"), ("rows", "<i4"), ("values", "|u1"))]
        read = {name: np.memmap(self._folder / f"forward_{name}.bin", kind, mode="r") for name, kind in forward}
        made = {
            name: np.memmap(self._folder / f"posting_{name}.bin", read[name].dtype, mode="w+", shape=(total,))
            for name in ("rows", "values")
        }
        following: Integers = bounds[:-1].copy()
        for start in range(0, total, _VALUES_AT_ONCE):
            block = slice(start, start + _VALUES_AT_ONCE)
            ids = np.asarray(read["ids"][block])
            order = np.argsort(ids, kind="stable")
            ids = ids[order]
            first = np.flatnonzero(np.diff(ids, prepend=-1))
            lengths = np.diff(first, append=len(ids))
            places = following[ids] + np.arange(len(ids)) - np.repeat(first, lengths)
            for name, target in made.items():
                target[places] = read[name][block][order]
            following[ids[first]] += lengths
        for written in made.values():
            written.flush()
        del read, made
        for name, _ in forward:
            (self._folder / f"forward_{name}.bin").unlink()

    def _stream(self, name: str) -> IO[bytes]:
        if name not in self._files:
            self._files[name] = self._stack.enter_context((self._folder / name).open("wb"))
        return self._files[name]

    def _write(self, name: str, values: npt.NDArray[Any]) -> None:
        kind = (ARRAYS["both"] | ARRAYS[self.kind]).get(name)
        self._stream(f"{name}.bin").write(np.ascontiguousarray(values, dtype=kind and np.dtype(kind)).tobytes())


def _one_line(text: str, limit: int = 1000) -> str:
    """Return `text` with single spaces, cut to `limit` characters, lone surrogates replaced: UTF-8 cannot carry them."""
    words = " ".join(text[: 4 * limit].encode("utf-8", "replace").decode().split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"
