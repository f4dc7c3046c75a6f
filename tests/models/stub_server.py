"""A stub of an OpenAI-compatible server: fast, on 127.0.0.1 only, and as badly behaved as a plan says.

In a test: ``async with StubServer(plan=["429:retry-after=1", "html", "ok"]) as stub: ... stub.url`` (same event loop), or
``with run_in_thread(StubServer(...)) as stub`` where the code under test has its own loop. By hand, for benchmarks:
``python stub_server.py --port 8000 --delay-ms 50``. The plan is a list of faults, used up by completion requests in the order
of their arrival (``ok`` after its end), or a function of (number of the request from 0, its body) that returns one.

    ok              a completion after the delay              empty        200, no text, finish_reason stop
    STATUS          an error document of that status          length       200, no text, finish_reason length
    STATUS:retry-after=X   with that header                   html         200 and a page of HTML
    hang            no answer, connection kept open           half         200 and the first half of the document
    trickle         one byte every tenth of a second          no-choices   200 and a document without choices
    reset           connection reset before an answer         error-200    200 and an error document
    cut             closed in the middle of the body          text=...     a completion of that text
    headerless      closed before the first byte              reasoning    no content, but reasoning_content
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import socket
import struct
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["StubServer", "run_in_thread"]

Fault = str
Plan = Sequence[Fault] | Callable[[int, dict[str, Any]], Fault]
CHOICE_LOGPROBS = {" A": -1.5, " B": -0.5, "B": -2.5, "C": -3.0, " the": -4.0}
"""What the stub says of the first token, whatever was asked; D is not among the likeliest tokens."""


def letter_reply(body: dict[str, Any]) -> str:
    """Answer with a letter that depends on the prompt alone, so that every run gives the same."""
    asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    return f"Answer: {'ABCD'[zlib.crc32(asked.encode('utf-8', 'replace')) % 4]}"


class StubServer:
    """The server. `requests` holds the last `keep` requests as dictionaries (method, path, headers, body).

    Attributes:
        count: completion requests so far.
        in_flight, most_in_flight: completion requests that wait for their answer now, and at most so far.
        connections: connections accepted so far.
        url: base URL with ``/v1``.
    """

    def __init__(
        self,
        *,
        plan: Plan = (),
        delay_s: float = 0.0,
        reply: Callable[[dict[str, Any]], str] = letter_reply,
        models: Sequence[str] = ("stub-model",),
        props: dict[str, Any] | None = None,
        logprobs: bool = True,
        api_key: str | None = None,
        port: int = 0,
        keep: int = 1000,
    ) -> None:
        self.plan, self.delay_s, self.reply, self.models, self.props = plan, delay_s, reply, models, props
        self.logprobs, self.api_key, self.port = logprobs, api_key, port
        self.requests: deque[dict[str, Any]] = deque(maxlen=keep)
        self.count = self.in_flight = self.most_in_flight = self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> StubServer:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, loop), "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._open):
            connection.transport.abort()
        await self._server.wait_closed()

    def next_fault(self, body: dict[str, Any]) -> Fault:
        number = self.count
        self.count += 1
        if callable(self.plan):
            return self.plan(number, body)
        return self.plan[number] if number < len(self.plan) else "ok"

    def completion(self, body: dict[str, Any], text: str, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
        chat = "messages" in body
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason, "logprobs": self._logprobs(body)}
        if chat:
            choice["message"] = {"role": "assistant", "content": text, **message}
        else:
            choice["text"] = text
        usage = {"prompt_tokens": 10, "completion_tokens": len(text.split()), "total_tokens": 10 + len(text.split())}
        kind = "chat.completion" if chat else "text_completion"
        return {"id": "stub", "object": kind, "model": self.models[0], "choices": [choice], "usage": usage}

    def _logprobs(self, body: dict[str, Any]) -> dict[str, Any] | None:
        if not self.logprobs or not body.get("logprobs"):
            return None
        best = max(CHOICE_LOGPROBS, key=CHOICE_LOGPROBS.__getitem__)
        if "messages" in body:
            top = [{"token": token, "logprob": value} for token, value in CHOICE_LOGPROBS.items()]
            return {"content": [{"token": best, "logprob": CHOICE_LOGPROBS[best], "top_logprobs": top}]}
        return {"tokens": [best], "token_logprobs": [CHOICE_LOGPROBS[best]], "top_logprobs": [CHOICE_LOGPROBS]}


class _Connection(asyncio.Protocol):
    """One keep-alive connection: requests with a Content-Length, answered one after another."""

    transport: asyncio.Transport

    def __init__(self, stub: StubServer, loop: asyncio.AbstractEventLoop) -> None:
        self.stub, self.loop, self.buffer = stub, loop, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.stub.connections += 1
        self.stub._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stub._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            total = end + 4 + int(headers.get("content-length", 0))
            if len(self.buffer) < total:
                return
            content = bytes(self.buffer[end + 4 : total])
            del self.buffer[:total]
            method, path, _ = first.split(" ")
            self.handle(method, path, headers, json.loads(content) if content else {})

    def handle(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        stub = self.stub
        stub.requests.append({"method": method, "path": path, "headers": headers, "body": body})
        route = path.partition("?")[0]
        if stub.api_key is not None and headers.get("authorization") != f"Bearer {stub.api_key}":
            self.send(401, {"error": {"message": f"wrong key: {headers.get('authorization')}", "code": 401}})
        elif method == "GET" and route == "/v1/models":
            self.send(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in stub.models]})
        elif method == "GET" and route == "/props" and stub.props is not None:
            self.send(200, stub.props)
        elif method == "POST" and route in ("/v1/chat/completions", "/v1/completions"):
            stub.in_flight += 1
            stub.most_in_flight = max(stub.most_in_flight, stub.in_flight)
            fault = stub.next_fault(body)
            if stub.delay_s:
                self.loop.call_later(stub.delay_s, self.answer, fault, body)
            else:
                self.answer(fault, body)
        else:
            self.send(404, {"error": {"message": f"no route {method} {route}", "code": 404}})

    def answer(self, fault: Fault, body: dict[str, Any]) -> None:
        stub = self.stub
        if fault != "hang":
            stub.in_flight -= 1
        kind, _, argument = fault.partition(":")
        if kind.isdigit():
            name, _, value = argument.partition("=")
            self.send(int(kind), {"error": {"message": f"planned {kind}"}}, {name: value} if name else {})
        elif fault.startswith("text="):
            self.send(200, stub.completion(body, fault[5:]))
        elif fault == "ok":
            self.send(200, stub.completion(body, stub.reply(body)))
        elif fault == "empty":
            self.send(200, stub.completion(body, ""))
        elif fault == "length":
            self.send(200, stub.completion(body, "", "length"))
        elif fault == "reasoning":
            self.send(200, stub.completion(body, "", reasoning_content="Let me think of CWE-79."))
        elif fault == "no-choices":
            self.send(200, {"object": "chat.completion", "choices": []})
        elif fault == "error-200":
            self.send(200, {"error": {"message": "overloaded", "code": 503}})
        elif fault == "html":
            self.send(200, b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>", {"content-type": "text/html"})
        elif fault == "half":
            document = json.dumps(stub.completion(body, stub.reply(body))).encode()
            self.send(200, document[: len(document) // 2])
        elif fault in ("reset", "headerless", "cut", "trickle"):
            self.break_off(fault)
        else:
            assert fault == "hang", f"no fault is called {fault!r}"

    def break_off(self, fault: Fault) -> None:
        if fault == "reset":  # with no time to linger, closing sends RST
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif fault == "headerless":
            self.transport.close()
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{")
            if fault == "cut":
                self.transport.close()
            else:
                self.trickle()

    def trickle(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b" ")
            self.loop.call_later(0.1, self.trickle)

    def send(self, status: int, document: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> None:
        if self.transport.is_closing():
            return
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        fields = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.transport.write(f"HTTP/1.1 {status} stub\r\n{head}\r\n".encode("latin-1") + content)


@contextmanager
def run_in_thread(stub: StubServer) -> Iterator[StubServer]:
    """Serve from a thread with an event loop of its own until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(stub.__aenter__(), loop).result(10)
    try:
        yield stub
    finally:
        asyncio.run_coroutine_threadsafe(stub.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def planned(faults: str, every: int) -> Plan:
    """Return a plan that goes round the comma-separated `faults`, one for every `every` requests, the others being ok."""
    if not faults:
        return ()
    turn = itertools.cycle(faults.split(","))
    return lambda number, _: next(turn) if number % every == every - 1 else "ok"


async def serve(options: argparse.Namespace) -> None:
    fixed = options.reply
    stub = StubServer(
        plan=planned(options.faults, options.every),
        delay_s=options.delay_ms / 1000,
        reply=(lambda _: fixed) if fixed else letter_reply,
        models=(options.model,),
        port=options.port,
        keep=0,
    )
    async with stub:
        print(stub.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stub of an OpenAI-compatible server, on 127.0.0.1 only.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one; the address is printed")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="time from a request to its answer")
    parser.add_argument("--model", default="stub-model")
    parser.add_argument("--reply", default="", help="answer this text always; default: a letter that depends on the prompt")
    parser.add_argument("--faults", default="", help="comma-separated faults, in turn")
    parser.add_argument("--every", type=int, default=10, help="one request in so many gets a fault")
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
