"""The options that ``ctiforge serve`` and ``ctiforge mcp`` share, and the settings that they make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctiforge.core.errors import MissingExtraError
from ctiforge.core.paths import user_data_dir

if TYPE_CHECKING:
    from ctiforge.serve.settings import ServeSettings

__all__ = [
    "ClassifierOption", "HostOption", "HostsOption", "KbOption", "KeysOption", "PolicyOption", "PortOption", "ProxyOption",
    "TlsCertOption", "TlsKeyOption", "default_keys_path", "here_or_none", "serving", "settings_of",
]  # fmt: skip

KbOption = Annotated[
    Path | None,
    typer.Option("--kb", metavar="DIR", help="The knowledge base.", show_default="the user data folder, kb/, if there is one"),
]
ClassifierOption = Annotated[str, typer.Option("--classifier", metavar="NAME|DIR", help="fast, accurate, or a model folder.")]
PolicyOption = Annotated[str, typer.Option(help="mitre: only entries that MITRE allows. nvd: by the habits of NVD.")]
HostOption = Annotated[str, typer.Option(help="Address to listen on. Others than loopback need keys and TLS.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys", envvar="CTIFORGE_KEYS", metavar="FILE", help="API keys.",
        show_default="the user data folder, keys.json, if there is one",
    ),
]  # fmt: skip
TlsCertOption = Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM).")]
TlsKeyOption = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM).")]
ProxyOption = Annotated[bool, typer.Option("--behind-tls-proxy", help="Another program does TLS in front.")]
HostsOption = Annotated[
    list[str] | None, typer.Option("--allow-host", metavar="NAME", help="A name by which it is reached; may be repeated.")
]


def default_keys_path() -> Path:
    """Return where the keys lie unless the user names a file."""
    return user_data_dir() / "keys.json"


def here_or_none(given: Path | None, usual: Path) -> Path | None:
    """Return what the user named, else the usual place if something is there."""
    return given or (usual if usual.exists() else None)


@contextmanager
def serving() -> Iterator[None]:
    """Name the extra where a package of the server is not installed.

    Raises:
        MissingExtraError: one is not.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or str(error)).split(".")[0]
        if package == "ctiforge":
            raise  # a bug of ours
        raise MissingExtraError(package, "serve") from None


def settings_of(
    *,
    db: str | None,
    kb: Path | None,
    classifier: str,
    policy: str,
    host: str,
    port: int,
    keys: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_tls_proxy: bool,
    hosts: list[str] | None,
) -> ServeSettings:
    """Return the settings that these options mean; the rest is as it is by default."""
    from ctiforge.serve.settings import ServeSettings

    return ServeSettings(
        store=db or str(user_data_dir() / "triage.db"),
        kb=here_or_none(kb, user_data_dir() / "kb"),
        classifier=classifier,
        policy=policy,
        host=host,
        port=port,
        keys=here_or_none(keys, default_keys_path()),
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_tls_proxy=behind_tls_proxy,
        hosts=tuple(hosts or ()),
    )
