"""The OpenAPI document against a running server: no request, however odd, gets a 5xx or an answer that the document denies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from ctiforge.serve import ServeSettings

schemathesis: Any = pytest.importorskip("schemathesis")


@pytest.fixture
def document(settings: ServeSettings) -> Iterator[Any]:
    import uvicorn

    from ctiforge.serve import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    server.should_exit = True
    thread.join(30)


schema = schemathesis.pytest.from_fixture("document")


@pytest.mark.enable_socket
@pytest.mark.slow
@schema.parametrize()
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_document_says(case: Any) -> None:
    case.call_and_validate()
