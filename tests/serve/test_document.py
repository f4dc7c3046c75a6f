"""The OpenAPI document against a running server: no request, however odd, gets a 5xx or an answer that the document denies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from ctiforge.serve import ServeSettings, create_app

schemathesis: Any = pytest.importorskip("schemathesis")
all_checks: Any = pytest.importorskip("schemathesis.checks")
openapi_checks: Any = pytest.importorskip("schemathesis.specs.openapi.checks")
CHECKS = [
    all_checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.fixture
def document(settings: ServeSettings) -> Iterator[Any]:
    """The document of a server that runs in a thread of this process."""
    uvicorn = pytest.importorskip("uvicorn")
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


@pytest.mark.enable_socket
@pytest.mark.slow
def test_every_answer_is_as_the_document_says(document: Any) -> None:
    operations = [each.ok() for each in document.get_all_operations()]
    assert len(operations) >= 15
    # The invented knowledge base has no encoder, and a route without its part says 503, as it should.
    operations = [each for each in operations if each.path != "/v1/embeddings"]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    for operation in operations:
        for mode in modes if operation.body or operation.query or operation.path_parameters else modes[:1]:
            _check(operation.as_strategy(generation_mode=mode))


def _check(strategy: Any) -> None:
    @hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=strategy)
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()
