"""The folder of a knowledge base: what lies where, the manifest, and how a new build takes the place of the old one.

manifest.json            names the build in force; written last, atomically
builds/<id>/             one build, named after its content; never changed once it has its name
encoder/<id>/            the sentence encoder, shared by builds
cache/                   embeddings of a build that was stopped; taken up by the next one, then removed
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ctiforge.ask.objects import SourceVersion
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, sha256, write_json

__all__ = ["FORMAT", "Layout", "Manifest", "exclusive", "read_manifest", "sources_as_json"]

FORMAT: Final = "ctiforge-knowledge-base/1"
"""Changes when an older program could not read the folder, or would search it wrongly."""

_SHORT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a build says about itself.

    Attributes:
        build: name of its folder.
        inputs: SHA-256 over the input files, settings and program that it was made from.
        sources: where the texts come from.
        counts: objects by kind, ``passages``, ``relations``, ``embedded``.
        files: names in the build's folder to size in bytes and SHA-256.
        encoder: digest of the sentence encoder, empty where there are no embeddings.
        note: why there are no embeddings, empty where there are.
        rejects: records and documents that were left out, by reason.
        packages: versions of what it was made with.
    """

    build: str
    inputs: str
    sources: tuple[SourceVersion, ...]
    counts: Mapping[str, int]
    files: Mapping[str, Mapping[str, Any]]
    encoder: str
    note: str
    rejects: Mapping[str, int]
    packages: Mapping[str, str]


class Layout:
    """Paths below the folder of a knowledge base."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "manifest.json"
        self.builds = root / "builds"
        self.cache = root / "cache"
        self.encoders = root / "encoder"

    def build(self, name: str) -> Path:
        """Return the folder of a build."""
        return self.builds / name

    def encoder(self, digest: str) -> Path:
        """Return the folder of a sentence encoder."""
        return self.encoders / digest[:_SHORT]

    def publish(self, scratch: Path, manifest: Mapping[str, Any]) -> str:
        """Give the build in `scratch` its name, then put it into force; return the name. What was in force works until then.

        Args:
            manifest: all fields of `Manifest` but ``build`` and ``files``.
        """
        files = {
            file.relative_to(scratch).as_posix(): {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
            for file in sorted(scratch.rglob("*"))
            if file.is_file()
        }
        content = json.dumps([manifest["inputs"], files], sort_keys=True)
        name = sha256(content.encode())[:_SHORT]
        if self.build(name).exists():  # the same content from an earlier build; its files may be damaged
            shutil.rmtree(self.build(name))
        scratch.rename(self.build(name))
        write_json(self.manifest, {"format": FORMAT, **manifest, "build": name, "files": files})
        return name

    def sweep(self, manifest: Manifest) -> None:
        """Remove what the build in force does not need: older and unfinished builds, the cache, other encoders."""
        keep = {self.build(manifest.build), self.encoder(manifest.encoder) if manifest.encoder else self.encoders}
        for folder in (self.builds, self.encoders):
            for each in folder.iterdir() if folder.is_dir() else ():
                if each not in keep:
                    shutil.rmtree(each, ignore_errors=True)
        shutil.rmtree(self.cache, ignore_errors=True)


def read_manifest(root: Path) -> Manifest:
    """Return the manifest of the build in force.

    Raises:
        InputError: there is none, it is damaged, or of a format that this program does not read.
    """
    path = Layout(root).manifest
    again = f"build it again: ctiforge kb build ... --out {root}"
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        reason = "there is no knowledge base here" if not path.exists() else error.strerror or str(error)
        raise InputError(f"{root}: {reason}", fix=f"build one: ctiforge kb build --out {root}") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged: {error}", fix=again) from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise InputError(
            f"{path}: made in the format {found!r}, and this program reads {FORMAT!r}; the folder was left as it is",
            fix=f"build it again: ctiforge kb build ... --out {root}; or search it with the program that made it",
        )
    try:
        sources = tuple(SourceVersion(**each) for each in content["sources"])
        fields = {name: content[name] for name in Manifest.__dataclass_fields__ if name != "sources"}
        return Manifest(sources=sources, **fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged: {error!r}", fix=again) from None


def sources_as_json(sources: tuple[SourceVersion, ...] | list[SourceVersion]) -> list[dict[str, Any]]:
    """Return sources as they stand in the manifest and in answers."""
    return [asdict(each) for each in sources]


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Keep other builds out of the folder while the block runs; the lock goes with the process, however it ends.

    Raises:
        InputError: another build holds it, or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        stream = open(root / ".lock", "ab")  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(
            f"{root}: cannot be written: {error.strerror or error}", fix="name another folder with --out"
        ) from None
    with stream:
        try:
            import fcntl
        except ImportError:  # Windows: two builds at once are not kept apart, but each is still put into force whole
            yield
            return
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{root}: another build is writing here", fix="wait for it, or name another folder") from None
        yield
