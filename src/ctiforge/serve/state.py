"""`ServerState`: what routes and pages use. Opened once, closed once; what is not there says so when it is asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ctiforge.ask.answering import Answerer
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.classify import Classifier, Prediction
from ctiforge.core.advisory import Advisory, SourceRef
from ctiforge.core.errors import CtiforgeError
from ctiforge.serve.batching import BatchObserver, MicroBatcher, OneThread
from ctiforge.serve.classify_worker import AskedText, ClassifierPlan, ClassifyWorkers, records_of
from ctiforge.serve.keys import KeyRing, Principal
from ctiforge.serve.settings import ServeSettings
from ctiforge.triage import TriageStore, open_store

if TYPE_CHECKING:
    from ctiforge.models.generation import TextModel
    from ctiforge.models.sentence_encoder import SentenceEncoder

__all__ = ["NotConfiguredError", "ServerState"]

_LOCAL_PERSON = "local user"
T = TypeVar("T")
R = TypeVar("R")


class NotConfiguredError(CtiforgeError):
    """The server was started without what the request needs."""


class ServerState:
    """What a server holds: the classifier, the knowledge base, the store, keys, and a generation model if there is one.

    `open` before the first request and `close` after the last one; `create_app` does both.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self.keys: KeyRing | None = None if settings.keys is None else KeyRing(settings.keys)
        self.on_batch: BatchObserver = lambda items, seconds: None
        self._classifier: Classifier | None = None
        self._batcher: MicroBatcher[Advisory, Prediction] | None = None
        self._records: MicroBatcher[AskedText, bytes] | None = None
        self._workers: ClassifyWorkers | None = None
        self._threads: list[OneThread[Any, Any]] = []
        self._answerer: Answerer | None = None
        self._store: TriageStore | None = None
        self._model: TextModel | None = None
        self._encoder: SentenceEncoder | None = None
        self._lock = threading.Lock()

    async def open(self) -> None:
        """Load the classifier, the knowledge base and the store, if that is not done; a generation model loads when needed.

        Raises:
            CtiforgeError: one of them that is configured cannot be opened.
        """
        if self.ready:
            return
        limits = self.settings.limits
        try:
            await asyncio.to_thread(self._open)
            if self._workers is not None:
                await self._workers.start()
        except BaseException:
            await self.close()
            raise
        self._records = MicroBatcher(
            self._in_thread(partial(records_of, self.classifier)) if self._workers is None else self._workers.run,
            most=limits.batch_texts,
            wait=limits.batch_wait_ms / 1000,
            at_once=1 if self._workers is None else self.settings.processes + 1,
            observer=lambda items, seconds: self.on_batch(items, seconds),
        )
        self._batcher = MicroBatcher(self._in_thread(self._classify), most=limits.batch_texts, wait=limits.batch_wait_ms / 1000)

    def _in_thread(self, work: Callable[[list[T]], Sequence[R]]) -> OneThread[T, R]:
        thread = OneThread(work)
        self._threads.append(thread)
        return thread

    def _open(self) -> None:
        settings = self.settings
        plan = ClassifierPlan(settings.classifier, settings.policy, settings.top_k, settings.threads)
        self._classifier = plan.build()
        if settings.processes:
            self._workers = ClassifyWorkers(plan, settings.processes)
        if settings.kb is not None:
            base = KnowledgeBase.load(settings.kb, embeddings=settings.embeddings, threads=settings.threads)
            self._answerer = Answerer(base)
        if settings.store is not None:
            self._store = open_store(settings.store)
        if settings.model is not None:
            from ctiforge.models.registry import open_model

            self._model = open_model(settings.model, **settings.model_options)

    async def close(self) -> None:
        """Finish what was accepted and let go of everything."""
        batchers, self._batcher, self._records = (self._batcher, self._records), None, None
        for batcher in batchers:
            if batcher is not None:
                await batcher.close()
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.close()
        workers, model, store = self._workers, self._model, self._store
        self._workers = self._model = self._store = None
        if workers is not None:
            await workers.close()
        if model is not None:
            await model.close()
        if store is not None:
            store.close()

    # What is there.

    @property
    def ready(self) -> bool:
        """Whether everything that is configured is open."""
        return self._batcher is not None

    @property
    def classifier(self) -> Classifier:
        """The classifier; for answers use `classify`, which batches."""
        return _there(self._classifier, "classifier", "wait until /readyz says 200")

    @property
    def store(self) -> TriageStore:
        """The open store, safe to share between threads.

        Raises:
            NotConfiguredError: the server has none.
        """
        return _there(self._store, "triage store", "start it with --db FILE; ctiforge triage import fills it")

    @property
    def answerer(self) -> Answerer:
        """What answers questions; `answerer.base` is the knowledge base. Safe to share between threads.

        Raises:
            NotConfiguredError: the server has none.
        """
        return _there(self._answerer, "knowledge base", "build one: ctiforge kb build; then start it with --kb DIR")

    @property
    def model(self) -> TextModel | None:
        """The generation model, or None."""
        return self._model

    @property
    def has_store(self) -> bool:
        """Whether there is a queue."""
        return self._store is not None

    @property
    def has_knowledge_base(self) -> bool:
        """Whether questions can be asked."""
        return self._answerer is not None

    @property
    def has_encoder(self) -> bool:
        """Whether texts can be embedded."""
        return self.settings.embeddings and self._answerer is not None and bool(self._answerer.base.manifest.encoder)

    @property
    def encoder(self) -> SentenceEncoder:
        """The sentence encoder of the knowledge base, loaded when it is first asked for.

        Raises:
            NotConfiguredError: there is no knowledge base with embeddings.
        """
        with self._lock:
            if self._encoder is None:
                self._encoder = self._load_encoder()
            return self._encoder

    def _load_encoder(self) -> SentenceEncoder:
        from ctiforge.ask.layout import Layout
        from ctiforge.models.sentence_encoder import SentenceEncoder

        base = self._answerer.base if self._answerer is not None else None
        folder = Layout(base.root).encoder(base.manifest.encoder) if base is not None and self.has_encoder else None
        folder = _there(folder, "sentence encoder", "build a knowledge base with embeddings: ctiforge kb build; then --kb DIR")
        return SentenceEncoder(folder, threads=self.settings.threads)

    # Work.

    def _classify(self, advisories: list[Advisory]) -> list[Prediction]:
        return self.classifier.classify(advisories)

    async def classify(self, items: Sequence[str | Advisory]) -> Sequence[Prediction]:
        """Classify texts or advisories, in order, together with what other requests ask at the same time."""
        batcher = _there(self._batcher, "classifier", "wait until /readyz says 200")
        return await batcher.submit([_advisory(each) for each in items])

    async def classify_records(self, asked: Sequence[AskedText]) -> Sequence[bytes]:
        """Classify texts, in order, as `classify` does; each answer is the JSON object of `prediction_record`."""
        batcher = _there(self._records, "classifier", "wait until /readyz says 200")
        return await batcher.submit(asked)

    # People.

    @property
    def local_principal(self) -> Principal | None:
        """Who makes requests where there are no keys; None where there are."""
        return None if self.keys is not None else Principal(self.settings.person or _LOCAL_PERSON, "admin")

    def authenticate(self, key: str | None) -> Principal | None:
        """Return who a key belongs to; without keys, whoever asks is the person of the settings."""
        if self.keys is None:
            return self.local_principal
        return self.keys.authenticate(key) if key else None


def _advisory(item: str | Advisory) -> Advisory:
    return item if isinstance(item, Advisory) else Advisory("", SourceRef("text"), item)


def _there(value: T | None, what: str, fix: str) -> T:
    if value is None:
        raise NotConfiguredError(f"this server has no {what}", fix=fix)
    return value
