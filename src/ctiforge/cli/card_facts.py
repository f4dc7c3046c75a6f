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

__all__ = ["comparisons", "load_json"]


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
