"""``ctiforge mcp``: the classifier, the knowledge base and the queue as tools of the Model Context Protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from ctiforge.cli.serve_options import (
    ClassifierOption,
    HostOption,
    HostsOption,
    KbOption,
    KeysOption,
    PolicyOption,
    PortOption,
    ProxyOption,
    TlsCertOption,
    TlsKeyOption,
    serving,
    settings_of,
)
from ctiforge.cli.triage_store import DbOption

__all__ = ["mcp"]


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP at /mcp instead of stdin and stdout.")] = False,
    db: DbOption = None,
    kb: KbOption = None,
    classifier: ClassifierOption = "fast",
    policy: PolicyOption = "mitre",
    host: HostOption = "127.0.0.1",
    port: PortOption = 8766,
    keys: KeysOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    behind_tls_proxy: ProxyOption = False,
    allow_host: HostsOption = None,
) -> None:
    """Serve classify, ask, kb_search, queue and queue_item to a program that speaks MCP. Nothing can be decided by it."""
    with serving():
        from ctiforge.serve.mcp_running import run_mcp_http, run_mcp_stdio

        settings = settings_of(
            db=db, kb=kb, classifier=classifier, policy=policy, host=host, port=port, keys=keys, tls_cert=tls_cert,
            tls_key=tls_key, behind_tls_proxy=behind_tls_proxy, hosts=allow_host,
        )  # fmt: skip
        if http:
            run_mcp_http(settings, lambda url: typer.echo(f"ctiforge serves MCP at {url}/mcp; Ctrl-C ends it", err=True))
        else:
            run_mcp_stdio(settings)
