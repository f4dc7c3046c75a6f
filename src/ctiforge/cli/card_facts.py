"""What a model card is rendered from, gathered across stages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctiforge.core.errors import InputError

if TYPE_CHECKING:
    from ctiforge.bench.published import PublishedScore
    from ctiforge.export.card import Comparison

__all__ = ["check_belonging", "comparisons", "load_json"]


def load_json(file: Path) -> dict[str, Any]:
    """Return a JSON object from a file.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    try:
        words = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: {error}", fix="give a folder that ctiforge wrote") from None
    if not isinstance(words, dict):
        raise InputError(f"{file}: not a JSON object", fix="give a folder that ctiforge wrote")
    return words


def check_belonging(
    training: Mapping[str, Any],
    merged: Mapping[str, Any] | None,
    gguf: Mapping[str, Any] | None,
    records: Sequence[Mapping[str, Any]],
) -> None:
    """Check that merged model, GGUF files and records are of the adapter that the card is about.

    Args:
        merged: manifest of `ctiforge export merge`; without it, the GGUF files are taken to be of the run.

    Raises:
        InputError: one of them is of another model.
    """
    known: dict[str, str] = {}
    if merged is not None:
        adapter = merged.get("adapter", {}).get("sha256")
        if adapter != training.get("adapter_sha256"):
            raise InputError(
                f"the merged model has adapter {str(adapter)[:12]}, the run {str(training.get('adapter_sha256'))[:12]}",
                fix="merge this run's adapter (ctiforge export merge), or give the run that was merged",
            )
        known[merged["digest"]] = "the merged model"
    if gguf is not None:
        source = gguf["source"]["digest"]
        if merged is not None and source != merged["digest"]:
            raise InputError(
                f"the GGUF files were made of {source[:12]}, the merged model is {merged['digest'][:12]}",
                fix="make them again (ctiforge export gguf), or give the model that they were made of",
            )
        known.setdefault(source, "the model of the GGUF files")
        known |= {each["sha256"]: each["name"] for each in gguf["files"]}
    for record in records:
        digest = record["model"]["digest"]
        if not known:
            raise InputError("records, and nothing to tell whose they are", fix="give --merged or --gguf as well")
        if digest not in known:
            raise InputError(
                f"a record is of {record['model']['name']} ({str(digest)[:12]}), which is none of {', '.join(known.values())}",
                fix="give it with --beside, for comparison",
            )


def comparisons(
    name: str,
    records: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    published: Sequence[PublishedScore],
) -> list[Comparison]:
    """Return the accuracies of this model, of other records, and those that were published on the same tasks."""
    from ctiforge.export.card import Comparison

    found: list[Comparison] = []
    for record, called in [*((each, name) for each in records), *((each, each["model"]["name"]) for each in others)]:
        for task in record["tasks"]:
            score = task["accuracy"] or {}
            if score.get("mean") is not None:
                where = f"{record['protocol']['name']}, n={task['n']:,}"
                found.append(Comparison(called, None, task["task"], score["mean"], score.get("std"), True, where))
    tasks = {each.task for each in found}
    found += [
        Comparison(each.model, each.size, each.task, each.value, each.std, False, each.citation)
        for each in published
        if each.task in tasks and each.metric == "accuracy"
    ]
    return found
