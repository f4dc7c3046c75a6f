"""Open-book runs: the model looks things up, so what it may look up belongs beside the figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ctiforge.bench.task import LoadedTask
from ctiforge.core.object_ids import object_of_url

__all__ = ["is_open_book", "page_notes", "pages_in_index"]


def is_open_book(record: Mapping[str, Any]) -> bool:
    """Say whether the record's model looked things up in an index while it answered."""
    settings = record["model"].get("settings")
    return isinstance(settings, Mapping) and settings.get("open_book") is True


def pages_in_index(tasks: Sequence[LoadedTask], holds: Callable[[str], bool]) -> frozenset[str]:
    """Return the ids of the samples whose source (`Sample.source`) is the page of an object that the index holds."""
    return frozenset(
        sample.id for loaded in tasks for sample in loaded.samples if (page := object_of_url(sample.source)) and holds(page)
    )


def page_notes(tasks: Sequence[LoadedTask], held: frozenset[str]) -> list[str]:
    """Return the leakage note of each task: how many items come from a page that the index has."""
    notes = []
    for loaded in tasks:
        total = len(loaded.samples)
        pages = sum(bool(object_of_url(sample.source)) for sample in loaded.samples)
        inside = sum(sample.id in held for sample in loaded.samples)
        notes.append(
            f"open book: {loaded.task.name}: the page that {inside:,} of {total:,} items were made from is in the index; "
            f"{pages - inside:,} come from a page that is not, {total - pages:,} from no page of ATT&CK, CWE or CAPEC"
        )
    return notes
