"""Classification in a process of its own, so that one core classifies while another reads requests and writes answers.

What comes back is finished JSON: sending it costs less than the objects would. Batches go over a socket that the event loop
reads itself, since every thread in between would have to wait for the interpreter.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import orjson

from ctiforge.classify import Classifier
from ctiforge.classify.outputs.record import prediction_record
from ctiforge.core.advisory import Advisory, SourceRef
from ctiforge.core.errors import CtiforgeError
from ctiforge.core.processes import one_thread_each, spare_garbage_collection

__all__ = ["AskedText", "ClassifierPlan", "ClassifyWorkers", "records_of"]

_SOURCE = SourceRef("http")
_LENGTH = 8
"""Bytes before each message that say how many follow."""

_SECONDS_TO_END = 30.0
_NICE = 10
"""Reading requests goes before classifying: whoever classifies always has something to do then, and answers go out at once."""


class AskedText(NamedTuple):
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


class ClassifyWorkers:
    """Processes with a classifier each, used from one event loop. If one is killed, another takes its place."""

    def __init__(self, plan: ClassifierPlan, processes: int = 1) -> None:
        self._plan = plan
        self._seats = [_Seat() for _ in range(processes)]

    async def start(self) -> None:
        """Start all processes and let each classify a first text.

        Raises:
            CtiforgeError: as `run`.
        """
        first = [AskedText("", "a first text, so that the first client does not wait", 1)]
        await asyncio.gather(*(self._run(seat, first) for seat in self._seats))

    async def run(self, asked: list[AskedText]) -> list[bytes]:
        """Return the JSON object of each text. More batches may be handed over before the first is answered.

        Raises:
            CtiforgeError: the process ended twice, or as `Classifier` raises it.
        """
        return await self._run(min(self._seats, key=lambda seat: seat.asked), asked)

    async def close(self) -> None:
        """Finish what was handed over and end the processes."""
        await asyncio.gather(*(seat.process.close() for seat in self._seats if seat.process is not None))

    async def _run(self, seat: _Seat, asked: list[AskedText]) -> list[bytes]:
        seat.asked += len(asked)
        try:
            for _ in range(2):
                process = await self._living(seat)
                try:
                    return await process.ask(asked)
                except (ConnectionError, asyncio.IncompleteReadError):
                    process.ended = True
        finally:
            seat.asked -= len(asked)
        raise CtiforgeError("the process that classifies ended twice (killed, or out of memory)")

    async def _living(self, seat: _Seat) -> _Process:
        async with seat.starting:
            if seat.process is None or seat.process.ended:
                if seat.process is not None:
                    await seat.process.close()
                seat.process = await _Process.start(self._plan)
            return seat.process


@dataclass(slots=True)
class _Seat:
    """A place for a process: who is in it, and how many texts it has not answered."""

    process: _Process | None = None
    asked: int = 0
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Process:
    """A started process and the two ends of its socket; answers come in the order of what was asked."""

    def __init__(self, process: BaseProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.ended = False
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()  # fair: who wrote first reads first

    @classmethod
    async def start(cls, plan: ClassifierPlan) -> _Process:
        ours, theirs = socket.socketpair()
        with theirs, one_thread_each():
            process = get_context("spawn").Process(target=_work, args=(theirs, plan), daemon=True)
            process.start()
        return cls(process, *await asyncio.open_connection(sock=ours))

    async def ask(self, asked: list[AskedText]) -> list[bytes]:
        message = pickle.dumps([tuple(each) for each in asked])
        self._writer.write(len(message).to_bytes(_LENGTH) + message)
        async with self._turn:
            await self._writer.drain()
            size = int.from_bytes(await self._reader.readexactly(_LENGTH))
            answer: list[bytes] | Exception = pickle.loads(await self._reader.readexactly(size))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self._writer.close()
        await asyncio.to_thread(self.process.join, _SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()


def _work(connection: socket.socket, plan: ClassifierPlan) -> None:
    """Answer batches until the server closes the socket: what the process does."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C and SIGTERM of the group are the server's to handle
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    classifier: Classifier | None = None
    with connection, connection.makefile("rwb") as stream:
        while (asked := _read(stream)) is not None:
            answer: list[bytes] | Exception
            try:
                classifier = classifier or _loaded(plan)
                answer = records_of(classifier, asked)
            except Exception as error:  # is raised where it was asked for
                answer = error
            message = pickle.dumps(answer)
            stream.write(len(message).to_bytes(_LENGTH) + message)
            stream.flush()


def _loaded(plan: ClassifierPlan) -> Classifier:
    classifier = plan.build()
    spare_garbage_collection()
    return classifier


def _read(stream: BufferedIOBase) -> list[AskedText] | None:
    head = stream.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    return [AskedText(*each) for each in pickle.loads(stream.read(int.from_bytes(head)))]


def _end_with_parent() -> None:
    """End this process when the server is gone; killed, it could not say so."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
