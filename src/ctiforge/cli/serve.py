"""``ctiforge serve``: the queue, the classifier and the knowledge base over HTTP, with web pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ctiforge.cli.extras import needing
from ctiforge.cli.model_options import read_options
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
    settings_of,
)
from ctiforge.cli.triage_store import DbOption, PersonOption

__all__ = ["serve"]


def serve(
    db: DbOption = None,
    kb: KbOption = None,
    classifier: ClassifierOption = "fast",
    policy: PolicyOption = "mitre",
    model: Annotated[
        str | None, typer.Option(metavar="SPEC", help="A generation model for chat and answers; see `ctiforge bench models`.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="Setting of its backend.")] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8765,
    keys: KeysOption = None,
    person: PersonOption = "",
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    behind_tls_proxy: ProxyOption = False,
    allow_host: HostsOption = None,
    rate: Annotated[
        int | None,
        typer.Option(
            min=0, help="Requests a minute of one key or address; 0: no limit.", show_default="0 on loopback, else 1200"
        ),
    ] = None,
    concurrent: Annotated[int, typer.Option(min=1, help="Requests in progress at once.")] = 256,
    max_body: Annotated[int, typer.Option(min=1000, help="Bytes of one request.")] = 2_000_000,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one request; reviews are never broken off.")] = 60.0,
    processes: Annotated[
        int,
        typer.Option(min=0, max=64, help="Processes that classify beside the server's own; 0: less memory, less throughput."),
    ] = 2,
    batch_wait: Annotated[float, typer.Option(min=0, max=1000, help="Milliseconds an idle classifier waits for more.")] = 2.0,
    similar: Annotated[
        Path | None, typer.Option(metavar="DIR", help="An index of past CVEs (`ctiforge classify index`) for an item's page.")
    ] = None,
    reports: Annotated[Path | None, typer.Option(metavar="DIR", help="Benchmark records that the pages show.")] = None,
) -> None:
    """Serve the HTTP API and the web pages until Ctrl-C or SIGTERM. Only this machine can reach it unless --host says so."""
    with needing("serve"):
        from ctiforge.serve.running import run_server
        from ctiforge.serve.settings import Limits

    settings = settings_of(
        db=db, kb=kb, classifier=classifier, policy=policy, host=host, port=port, keys=keys, tls_cert=tls_cert,
        tls_key=tls_key, behind_tls_proxy=behind_tls_proxy, hosts=allow_host,
    )  # fmt: skip
    per_minute = (0 if settings.loopback else 1200) if rate is None else rate
    limits = Limits(
        body_bytes=max_body,
        requests_per_minute=per_minute,
        concurrent=concurrent,
        seconds=timeout,
        batch_wait_ms=batch_wait,
    )
    settings = replace(
        settings,
        processes=processes,
        person=person,
        model=model,
        model_options=read_options(option or []),
        limits=limits,
        similar=similar,
        reports=reports,
    )

    def listening(url: str) -> None:
        who = f"keys: {settings.keys}" if settings.keys else "no keys: whoever uses this machine may do everything"
        typer.echo(f"ctiforge serves {url}  ({who}); Ctrl-C ends it", err=True)
        typer.echo(f"  queue {settings.store}; knowledge base {settings.kb or 'none (ctiforge kb build)'}", err=True)

    run_server(settings, listening)
