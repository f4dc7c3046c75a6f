"""The tools of the Model Context Protocol, by the protocol's own client."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from fastapi.testclient import TestClient

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters

from ctiforge.serve import Role, ServerState, ServeSettings
from ctiforge.serve.mcp_running import mcp_app
from ctiforge.serve.mcp_server import UNTRUSTED, build_mcp_server

TOOLS = {"classify", "ask", "kb_search", "queue", "queue_item"}
CALLS: dict[str, dict[str, Any]] = {
    "classify": {"texts": ["SQL injection in the login allows attackers"]},
    "ask": {"question": "what is CWE-903"},
    "kb_search": {"query": "pickle jar", "top_k": 1},
    "queue": {"limit": 2},
    "queue_item": {"item_id": "CVE-2099-10001"},
}


async def _all(client: Client) -> dict[str, Any]:
    listed = (await client.list_tools()).tools
    assert {each.name for each in listed} == TOOLS
    assert all(each.annotations is not None and each.annotations.read_only_hint for each in listed)
    found = {}
    for name, arguments in CALLS.items():
        result = await client.call_tool(name, arguments)
        assert not result.is_error, result.content
        found[name] = orjson.loads(result.content[0].text)  # type: ignore[union-attr]
    unknown = await client.call_tool("queue_item", {"item_id": "CVE-2099-99999"})
    assert unknown.is_error
    assert "no item" in unknown.content[0].text  # type: ignore[union-attr]
    return found


def _check(found: dict[str, Any]) -> None:
    assert all(each["untrusted"] is True and each["notice"] == UNTRUSTED for each in found.values())
    assert found["classify"]["data"][0]["suggestions"][0]["cwe_id"] == "CWE-89"
    assert found["ask"]["data"]["status"] == "answered"
    assert found["kb_search"]["data"]["hits"][0]["object_id"] == "CVE-2099-20001"
    assert len(found["queue"]["data"]["items"]) == 2
    assert "<script>" in found["queue_item"]["data"]["advisory"]["description"]


def test_the_tools_within_one_process(settings: ServeSettings) -> None:
    async def run() -> dict[str, Any]:
        state = ServerState(settings)
        try:
            async with Client(build_mcp_server(state)) as client:
                return await _all(client)
        finally:
            await state.close()

    _check(anyio.run(run))


def test_the_tools_over_stdio(settings: ServeSettings) -> None:
    arguments = [
        "-m",
        "ctiforge",
        "mcp",
        "--db",
        str(settings.store),
        "--kb",
        str(settings.kb),
        "--classifier",
        settings.classifier,
    ]

    async def run() -> dict[str, Any]:
        async with Client(StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))) as client:
            return await _all(client)

    _check(anyio.run(run))


def test_over_http_a_key_is_needed(settings: ServeSettings, keys: dict[Role, str], tmp_path: Path) -> None:
    app = mcp_app(ServerState(replace(settings, keys=tmp_path / "keys.json")))
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
    }
    accepting = {"Accept": "application/json, text/event-stream"}
    with TestClient(app, base_url="http://127.0.0.1") as client:
        refused = client.post("/mcp", json=hello, headers=accepting)
        assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
        admitted = client.post("/mcp", json=hello, headers={**accepting, "X-API-Key": keys["reader"]})
        assert admitted.json()["result"]["serverInfo"]["name"] == "ctiforge"
        foreign = client.post("/mcp", json=hello, headers={**accepting, "X-API-Key": keys["reader"], "Host": "rebound.example"})
        assert foreign.status_code == 421
