"""Work on raw records, in several processes where there are many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Protocol, TypeAlias, TypeVar

from ctiforge.core.advisory import Reject
from ctiforge.core.processes import default_workers, map_in_processes
from ctiforge.sources.read import RawRecord

__all__ = ["ChunkWork", "Raw", "map_chunks"]

_CHUNK_RECORDS = 128
_CHUNK_BYTES = 4 * 2**20
_SMALL_FEED = 1024
"""Feeds up to this many records are worked on in this process: starting another one would take longer."""

Raw: TypeAlias = RawRecord | Reject
Batch = TypeVar("Batch")
BatchOut = TypeVar("BatchOut", covariant=True)


class ChunkWork(Protocol[BatchOut]):
    """What is done to a chunk; small enough to send to a process, which builds the worker from it once."""

    def build(self) -> Callable[[Sequence[Raw]], BatchOut]:
        """Return the worker; this is where a model is loaded."""
        ...


def map_chunks(raws: Iterable[Raw], work: ChunkWork[Batch], workers: int | None = None) -> Iterator[Batch]:
    """Yield one batch a chunk of raw records, in input order; large feeds are worked on in `workers` processes.

    Raises:
        CtiforgeError: a worker process died.
    """
    workers = workers or default_workers()
    stream = iter(raws)
    head = list(islice(stream, _SMALL_FEED + 1))
    chunks = _chunks(chain(head, stream))
    if workers > 1 and len(head) > _SMALL_FEED:
        yield from map_in_processes(chunks, work.build, workers)
    else:
        yield from map(work.build(), chunks)


def _chunks(raws: Iterable[Raw]) -> Iterator[list[Raw]]:
    chunk: list[Raw] = []
    size = 0
    for raw in raws:
        chunk.append(raw)
        size += len(raw.payload) if isinstance(raw, RawRecord) else 0
        if len(chunk) >= _CHUNK_RECORDS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
