"""Descriptions, labelled or not, to learn from without their labels: no benchmark's, none newer than the training's cut."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ctiforge.core.advisory import Reject
from ctiforge.core.errors import InputError
from ctiforge.core.ids import parse_cve_id
from ctiforge.core.normalized_text import normalize_text
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.labelled_cves import LabelledCve
from ctiforge.sources.read import read_advisories
from ctiforge.sources.reservation_dates import ReservationCalendar
from ctiforge.train.examples import load_holdout
from ctiforge.train.recipe import ExampleRecipe, Source

__all__ = ["Description", "read_descriptions"]

_MIN_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Description:
    """The text of one CVE; `labelled` if a party of the recipe gave it a usable label."""

    cve_id: str
    text: str
    day: date
    labelled: bool


def read_descriptions(
    recipe: ExampleRecipe, data: str | os.PathLike[str], catalogue: CweCatalogue, more: Sequence[Source] = ()
) -> tuple[list[Description], Counter[str]]:
    """Return one description of each CVE in the recipe's feeds and in `more`, equal texts once, and how many CVEs left by
    which reason.

    Raises:
        InputError: a file that the recipe names is not there.
    """
    folder = Path(data)
    feeds = list(dict.fromkeys(str(folder / source.path) for source in [*recipe.sources, *more]))
    for feed in feeds:
        if not Path(feed).is_file():
            raise InputError(f"{feed}: no such file, but the recipe names it", fix="--data DIR is the folder that holds it")
    cves: dict[str, LabelledCve] = {}
    for record in read_advisories(feeds, duplicates="keep"):
        if not isinstance(record, Reject) and (cve_id := parse_cve_id(record.id)):
            cves.setdefault(cve_id, LabelledCve()).merge(record, catalogue, recipe.party_order)
    holdout = load_holdout(
        ((folder / each.path, each.text_column) for each in recipe.exclude), recipe.near_duplicate, recipe.shared_phrases
    )
    calendar = ReservationCalendar(recipe.split.reserved)
    left_out: Counter[str] = Counter()
    found: dict[str, Description] = {}
    for cve_id, cve in cves.items():
        day = cve.published or calendar.estimate(cve_id)
        if len(cve.text) < _MIN_CHARACTERS:
            left_out["text_too_short"] += 1
        elif day >= recipe.split.development_from:
            left_out["newer"] += 1
        elif reason := holdout.reason(cve_id, cve.text):
            left_out[f"benchmark_{reason}"] += 1
        elif (normalized := normalize_text(cve.text)) in found:
            left_out["equal_text"] += 1
        else:
            found[normalized] = Description(cve_id, cve.text, day, bool(cve.labels))
    return list(found.values()), left_out
