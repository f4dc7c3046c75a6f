"""Classification in a process of its own, so that one core classifies while another reads requests and writes answers.

What comes back is finished JSON: sending it costs less than the objects would.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process

import orjson

from ctiforge.classify import Classifier
from ctiforge.classify.outputs.record import prediction_record
from ctiforge.core.advisory import Advisory, SourceRef

__all__ = ["AskedText", "ClassifierPlan", "ClassifyWorker", "records_of"]

_SOURCE = SourceRef("http")


@dataclass(frozen=True, slots=True)
class AskedText:
    """One text of a request: `top_k` suggestions at most."""

    id: str
    text: str
    top_k: int


@dataclass(frozen=True, slots=True)
class ClassifierPlan:
    """What a process needs to load the classifier; see `ctiforge.classify.Classifier`."""

    model: str
    policy: str
    top_k: int
    threads: int

    def build(self) -> Classifier:
        """Load it.

        Raises:
            CtiforgeError: as `Classifier` raises it.
        """
        return Classifier(self.model, policy=self.policy, top_k=self.top_k, threads=self.threads)


def records_of(classifier: Classifier, asked: Sequence[AskedText]) -> list[bytes]:
    """Return the contract's JSON object of each text."""
    predictions = classifier.classify(Advisory(each.id, _SOURCE, each.text) for each in asked)
    return [orjson.dumps(prediction_record(found, top_k=each.top_k)) for found, each in zip(predictions, asked, strict=True)]


class ClassifyWorker:
    """One process with a classifier. If it is killed, another takes its place."""

    def __init__(self, plan: ClassifierPlan) -> None:
        self._plan = plan
        self._pool = self._started()

    def run(self, asked: list[AskedText]) -> list[bytes]:
        """Return the JSON object of each text; call it from one thread at a time.

        Raises:
            BrokenProcessPool: the process ended twice.
        """
        try:
            return self._pool.submit(_run, asked).result()
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._started()
            return self._pool.submit(_run, asked).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, get_context("spawn"), initializer=_load, initargs=(self._plan,))


_classifier: Classifier | None = None
"""The classifier of a worker process; None in all others."""


def _load(plan: ClassifierPlan) -> None:
    global _classifier
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C and SIGTERM of the group are the server's to handle
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _classifier = plan.build()


def _end_with_parent() -> None:
    """End this process when the server is gone; killed, it could not say so."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(asked: list[AskedText]) -> list[bytes]:
    assert _classifier is not None
    return records_of(_classifier, asked)
