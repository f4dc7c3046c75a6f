"""Last step: the corpus, its manifest and its datasheet, written unless exactly these files are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ctiforge import __version__
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, write_json, write_text
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.corpus.datasheet import build_datasheet
from ctiforge.corpus.datasheet_markdown import render_datasheet
from ctiforge.corpus.outputs import PARQUET_MISSING, SPLITS, write_lines, write_splits
from ctiforge.corpus.recipe import CorpusRecipe
from ctiforge.corpus.selection import draw_key
from ctiforge.corpus.stages import StageEvent, StageResult, Watch
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["MANIFEST_FORMAT", "Published", "publish"]

MANIFEST_FORMAT = "ctiforge-corpus-1"


@dataclass(frozen=True, slots=True)
class Published:
    """How many records by split; whether files were written; what could not be, and why."""

    records: dict[str, int]
    written: bool
    not_written: dict[str, str]


def publish(
    folder: Path,
    recipe: CorpusRecipe,
    final: StageResult,
    stages: Sequence[StageResult],
    inputs: Sequence[Mapping[str, Any]],
    catalogue: CweCatalogue,
    watch: Watch,
) -> Published:
    """Write the files of the corpus into `folder`.

    Raises:
        InputError: the folder cannot be written.
    """
    manifest = _manifest(recipe, stages, inputs, catalogue)
    if (old := _unchanged(folder, manifest)) is not None:
        watch(StageEvent("write", "skipped", kept=final.kept))
        return Published(old["records"], False, old["not_written"])
    watch(StageEvent("write", "started"))
    try:
        manifest = _write(folder, recipe, final, stages, manifest, catalogue)
    except OSError as error:
        raise InputError(f"{folder}: cannot write the corpus ({error.strerror})", fix="name another --out") from None
    watch(StageEvent("write", "done", kept=final.kept))
    return Published(manifest["records"], True, manifest["not_written"])


def _manifest(
    recipe: CorpusRecipe, stages: Sequence[StageResult], inputs: Sequence[Mapping[str, Any]], catalogue: CweCatalogue
) -> dict[str, Any]:
    """Return what is known before a file is written."""
    return {
        "format": MANIFEST_FORMAT,
        "name": recipe.name,
        "description": recipe.description,
        "recipe": recipe.model_dump(mode="json"),
        "inputs": list(inputs),
        "stages": [
            {"name": stage.name, "key": stage.key, "digest": stage.digest, "kept": stage.kept, "rejected": dict(stage.reasons)}
            for stage in stages
        ],
        "cwe_version": catalogue.version,
        "cwe_digest": catalogue.digest,
        "ctiforge": __version__,
        "git_revision": git_revision(),
        "packages": package_versions(["matplotlib", "numpy", "pyarrow", "pydantic", "PyStemmer"]),
    }


def _unchanged(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the manifest that is there, if it says the same and its files are what it says."""
    try:
        old: dict[str, Any] = orjson.loads((folder / "manifest.json").read_bytes())
        same = all(old[key] == value for key, value in manifest.items())
        whole = all(file_sha256(folder / name) == file["sha256"] for name, file in old["outputs"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return old if same and whole else None


def _write(
    folder: Path,
    recipe: CorpusRecipe,
    final: StageResult,
    stages: Sequence[StageResult],
    manifest: dict[str, Any],
    catalogue: CweCatalogue,
) -> dict[str, Any]:
    (folder / "manifest.json").unlink(missing_ok=True)  # no manifest beside files that it does not describe
    records = sorted(final.records(), key=lambda record: draw_key(recipe.seed, "order", record.id))
    rows: dict[str, int | None] = {**write_splits(folder, records, recipe.system_prompt)}
    rows["rejects.jsonl"] = write_lines(folder / "rejects.jsonl", _rejects(stages))
    rows["conflicts.jsonl"] = write_lines(folder / "conflicts.jsonl", _conflicts(stages))
    sheet = build_datasheet(recipe, records, stages, catalogue)
    plots, not_written = _write_plots(folder, sheet)
    not_written |= {f"{split}.parquet": PARQUET_MISSING for split in SPLITS if f"{split}.parquet" not in rows}
    write_json(folder / "datasheet.json", sheet)
    write_text(folder / "datasheet.md", render_datasheet(sheet, manifest, plots))
    rows |= dict.fromkeys([*plots, "datasheet.json", "datasheet.md"])
    outputs = {
        name: {"sha256": file_sha256(folder / name)} | ({} if count is None else {"rows": count})
        for name, count in sorted(rows.items())
    }
    manifest = manifest | {"records": sheet["records"], "outputs": outputs, "not_written": not_written}
    write_json(folder / "manifest.json", manifest)
    return manifest


def _rejects(stages: Sequence[StageResult]) -> Iterator[bytes]:
    for stage in stages:
        yield from stage.reject_lines()


def _conflicts(stages: Sequence[StageResult]) -> Iterator[Mapping[str, Any]]:
    for stage in stages:
        yield from stage.facts.get("conflicts", ())


def _write_plots(folder: Path, sheet: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the alternative texts of the pictures by path, and why there are none."""
    from ctiforge.corpus.plots import draw_plots

    try:
        drawn = draw_plots(sheet)
    except ImportError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        return {}, {"plots": "matplotlib is not installed: pip install 'ctiforge[corpus]'"}
    for name, (svg, _) in drawn.items():
        write_text(folder / "plots" / name, svg)
    return {f"plots/{name}": text for name, (_, text) in drawn.items()}, {}
