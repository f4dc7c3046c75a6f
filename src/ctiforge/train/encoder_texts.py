"""Descriptions without their labels, for masked-language pretraining: no benchmark's, none newer than the training's cut."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from ctiforge.core.advisory import Reject
from ctiforge.core.errors import InputError
from ctiforge.core.ids import parse_cve_id
from ctiforge.core.normalized_text import normalize_text
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.labelled_cves import LabelledCve
from ctiforge.sources.read import read_advisories
from ctiforge.sources.reservation_dates import ReservationCalendar
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.examples import load_holdout

__all__ = ["read_descriptions"]

_MIN_CHARACTERS = 20


def read_descriptions(
    recipe: EncoderRecipe, data: str | os.PathLike[str], catalogue: CweCatalogue
) -> tuple[list[str], Counter[str]]:
    """Return one description of each CVE in the recipe's feeds and in those for pretraining, equal texts once, and how many
    CVEs left by which reason.

    Raises:
        InputError: a file that the recipe names is not there.
    """
    folder = Path(data)
    sources = [*recipe.sources, *(recipe.pretraining.sources if recipe.pretraining else [])]
    feeds = list(dict.fromkeys(str(folder / source.path) for source in sources))
    for feed in feeds:
        if not Path(feed).is_file():
            raise InputError(f"{feed}: no such file, but the recipe names it", fix="--data DIR is the folder that holds it")
    cves: dict[str, LabelledCve] = {}
    for record in read_advisories(feeds, duplicates="keep"):
        if not isinstance(record, Reject) and (cve_id := parse_cve_id(record.id)):
            cves.setdefault(cve_id, LabelledCve()).merge(record, catalogue, ())
    holdout = load_holdout(
        ((folder / each.path, each.text_column) for each in recipe.exclude), recipe.near_duplicate, recipe.shared_phrases
    )
    calendar = ReservationCalendar(recipe.split.reserved)
    left_out: Counter[str] = Counter()
    texts: dict[str, str] = {}
    for cve_id, cve in cves.items():
        if len(cve.text) < _MIN_CHARACTERS:
            left_out["text_too_short"] += 1
        elif (cve.published or calendar.estimate(cve_id)) >= recipe.split.development_from:
            left_out["newer"] += 1
        elif reason := holdout.reason(cve_id, cve.text):
            left_out[f"benchmark_{reason}"] += 1
        elif (normalized := normalize_text(cve.text)) in texts:
            left_out["equal_text"] += 1
        else:
            texts[normalized] = cve.text
    return list(texts.values()), left_out
