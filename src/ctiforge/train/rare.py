"""Make the table of weaknesses that a model has no label for; see `ctiforge.models.rare`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ctiforge import __version__
from ctiforge.core.errors import ModelError
from ctiforge.models.linear import LinearModel
from ctiforge.models.loading import load_cwe_model
from ctiforge.models.rare import DEFAULT_FLOOR, build_rare_vectors, load_rare_table, write_rare_table
from ctiforge.models.text_vectors import ngram_model
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.cwe_texts import CweTexts, WeaknessText

__all__ = ["RareReport", "rare_weaknesses", "run_train_rare", "whole_text"]


@dataclass(frozen=True, slots=True)
class RareReport:
    """What was written: the folder, number of entries, bytes of the table, SHA-256 of its manifest."""

    folder: Path
    entries: int
    size: int
    digest: str


def run_train_rare(
    model: str | os.PathLike[str],
    texts: CweTexts,
    catalogue: CweCatalogue,
    *,
    shipped: Mapping[str, Path],
    floor: float = DEFAULT_FLOOR,
) -> RareReport:
    """Write the table into the folder of a linear model or of a blend with one; the model's own digest stays.

    Args:
        texts: CWE's full texts.
        catalogue: says which entries MITRE lets map to.
        shipped: folders of the models that ship with ctiforge, by name.
        floor: similarity from which an entry is shown, 0 to 1.

    Raises:
        ModelError: the model is missing or damaged, knows no n-grams, or has a label for every entry.
    """
    folder = Path(model)
    loaded = load_cwe_model(folder, shipped)
    ngrams = ngram_model(loaded)
    if ngrams is None:
        raise ModelError(
            f"{folder}: an encoder alone has no n-grams to compare definitions by",
            fix="blend it with a linear model first: ctiforge train blend --help",
        )
    rare = rare_weaknesses(texts, catalogue, loaded.labels)
    if not rare:
        raise ModelError(f"{folder}: the model has a label for every entry of CWE {texts.version}", fix="nothing to do")
    postings = build_rare_vectors(ngrams, [each.name for each in rare], [whole_text(each) for each in rare])
    manifest = {
        "cwe_ids": [each.cwe_id for each in rare],
        "floor": floor,
        "ngrams_of": ngrams.digest,
        "cwe_version": texts.version,
        "cwe_xml_sha256": texts.sha256,
        "ctiforge": __version__,
    }
    digest = write_rare_table(folder, manifest, postings)
    _check(folder, ngrams)
    return RareReport(folder, len(rare), (folder / "rare.npz").stat().st_size, digest)


def _check(folder: Path, ngrams: LinearModel) -> None:
    if load_rare_table(folder, ngrams) is None:
        raise ModelError(f"{folder}: the table that was just written cannot be read", fix="check the disk")


def rare_weaknesses(texts: CweTexts, catalogue: CweCatalogue, labels: tuple[str, ...]) -> list[WeaknessText]:
    """Return the weaknesses that MITRE lets map to and that are none of a model's labels."""
    known = set(labels)
    return [each for each in texts if each.cwe_id not in known and catalogue.is_suggestable(each.cwe_id)]


def whole_text(weakness: WeaknessText) -> str:
    """Return name, description and what MITRE says of observed examples."""
    return " ".join([f"{weakness.name}.", weakness.description, *(each.description for each in weakness.examples)])
