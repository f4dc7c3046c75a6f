"""`ServeSettings`: everything a server may be told, and what it refuses to be told."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctiforge.core.errors import InputError, SettingError

__all__ = ["Limits", "ServeSettings", "is_loopback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one server takes on.

    Attributes:
        body_bytes: of one request.
        texts: of one classify request, or inputs of one embeddings request.
        characters: of one text.
        requests_per_minute: of one key, or of one address without a valid key, with bursts of a tenth of it; 0 sets no limit.
        concurrent: requests in progress; more are told to come again.
        seconds: for one request, reading its body included; reviews are never broken off.
        shutdown_seconds: for requests in progress when the server is asked to end.
        batch_texts, batch_wait_ms: short texts of several requests are classified together: so many at most, waiting so long at
            most for others. While a batch is computed the next one gathers. If a batch held all clients that
            there are, nothing would be computed while they are answered.
    """

    body_bytes: int = 2_000_000
    texts: int = 256
    characters: int = 50_000
    requests_per_minute: int = 0
    concurrent: int = 256
    seconds: float = 60.0
    shutdown_seconds: int = 30
    batch_texts: int = 40
    batch_wait_ms: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """What a server serves, where, and to whom.

    Attributes:
        store: the triage store as `ctiforge.triage.open_store` takes it; None: no queue.
        kb: folder of the knowledge base; None: nothing to ask.
        embeddings: also search by meaning, and serve ``/v1/embeddings``.
        classifier, policy, top_k: as of `ctiforge.classify.Classifier`.
        threads: CPU threads of models with an encoder.
        processes: that answer ``/v1/classify``, each with the memory of another classifier; 0: the server itself does.
        model, model_options: a generation model of `ctiforge.models.registry`; None: chat is answered from the knowledge base.
        host, port: where it listens.
        keys: file of API keys; None: whoever reaches the port may do everything, as `person`.
        person: who reviews where there are no keys.
        tls_cert, tls_key: PEM files.
        behind_tls_proxy: another program does TLS in front.
        hosts: names by which it is reached besides loopback's own; empty where it is not on loopback: any.
        similar: folder of an index of past CVEs (`ctiforge classify index`); an item's page then shows those that are like it.
        reports: folder of benchmark records that the pages show.
        session_hours: how long a sign-in on the pages lasts.
        limits: see `Limits`.
    """

    store: str | None = None
    kb: Path | None = None
    embeddings: bool = True
    classifier: str = "fast"
    policy: str = "mitre"
    top_k: int = 5
    threads: int = 1
    processes: int = 0
    model: str | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8765
    keys: Path | None = None
    person: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_tls_proxy: bool = False
    hosts: tuple[str, ...] = ()
    similar: Path | None = None
    reports: Path | None = None
    session_hours: float = 12.0
    limits: Limits = field(default_factory=Limits)

    @property
    def tls(self) -> bool:
        """Whether people reach it by https; cookies are then marked secure."""
        return self.tls_cert is not None or self.behind_tls_proxy

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    def check(self) -> None:
        """Refuse what would lay the queue open.

        Raises:
            InputError: a file that is named is not there.
            SettingError: it would be reached from elsewhere without keys or without TLS.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingError("TLS needs a certificate and its key", fix="give both --tls-cert FILE and --tls-key FILE")
        for path, what in ((self.tls_cert, "certificate"), (self.tls_key, "key of the certificate")):
            if path is not None and not path.is_file():
                raise InputError(f"{path}: there is no such file ({what})", fix="name a PEM file that this user may read")
        if self.loopback:
            return
        if self.keys is None:
            raise SettingError(
                f"{self.host} can be reached from other machines, and there are no API keys",
                fix="make one: ctiforge keys add NAME --role reviewer, then serve with --keys FILE; or --host 127.0.0.1",
            )
        if not self.tls:
            raise SettingError(
                f"{self.host} can be reached from other machines, and keys would cross the network in the clear",
                fix="give --tls-cert and --tls-key; or say --behind-tls-proxy if another program does TLS in front",
            )


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine only; a name other than ``localhost`` counts as elsewhere."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
