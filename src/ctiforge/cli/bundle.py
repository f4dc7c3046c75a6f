"""`ctiforge bundle`: one folder with all that a model needs, and proof that it is unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctiforge.core.errors import MissingExtraError

__all__ = ["app"]

app = typer.Typer(
    name="bundle", help="Pack models with card, licences and checksums (make needs the export extra).", no_args_is_help=True
)


@app.command("make")
def make(
    parts: Annotated[list[Path], typer.Argument(help="Folders and files: a merged model, GGUF files, an adapter.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    card: Annotated[Path | None, typer.Option(help="Becomes README.md.")] = None,
    licence: Annotated[list[Path] | None, typer.Option(help="A licence text; may be repeated.")] = None,
    sign_key: Annotated[Path | None, typer.Option(help="OpenSSH private key to sign the checksums with.")] = None,
) -> None:
    """Copy the parts, add a manifest and checksums, and a Modelfile for Ollama where there is a GGUF file."""
    try:
        from ctiforge.export.bundle import run_bundle
    except ImportError as error:
        raise MissingExtraError((error.name or "torch").split(".")[0], "export") from None
    templates = [file for part in parts for file in [part / "chat_template.jinja"] if file.is_file()]
    template = templates[0].read_text("utf-8") if templates else ""
    folder = run_bundle(parts, out, card=card, licences=licence or (), chat_template=template, sign_key=sign_key)
    typer.echo(f"{folder}: bundled; check it with: ctiforge bundle verify {folder}")


@app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="A bundle.")],
    signers: Annotated[
        Path | None, typer.Option(help="OpenSSH allowed_signers file: the bundle must be signed by one of them.")
    ] = None,
) -> None:
    """Check every file, that there is no other, and the signature."""
    try:
        from ctiforge.export.bundle import verify_bundle
    except ImportError as error:
        raise MissingExtraError((error.name or "torch").split(".")[0], "export") from None
    found = verify_bundle(folder, signers=signers)
    signature = (
        f"signed by {found.signer}" if found.signer else "signed, signer not asked for" if found.signed else "not signed"
    )
    typer.echo(f"{folder}: {found.files} files, {found.size / 1e6:,.1f} MB, all as bundled; {signature}")
