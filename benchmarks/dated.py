"""Accuracy on the dated splits of a model's own recipe: the development split, and later CVEs that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import THREADS, confidence_of, own_threshold, rank_of
from figures import coverage_curve, paired, reliability, share, slices

from ctiforge.classify import Classifier
from ctiforge.classify.classifier import load_model
from ctiforge.core.files import sha256
from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.cwe_model import CweModel
from ctiforge.sources.cwe import load_catalogue
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.examples import Example
from ctiforge.train.recipe import ClassifierRecipe, ExampleRecipe
from ctiforge.train.splits import build_examples, split_examples

__all__ = ["measure_dated_splits", "score_split"]

_BATCH = 128
_MIN_YEAR = 50


def measure_dated_splits(data: Path, model: str, against: str | None = None) -> dict[str, Any]:
    """Rebuild the recipe's splits; score the development split, and the later CVEs that the model never saw.

    Args:
        against: another model, to compare with on the same later CVEs by McNemar's exact test.
    """
    loaded = load_model(model, threads=THREADS)
    settings = loaded.manifest["recipe"]
    recipe: ExampleRecipe = (EncoderRecipe if "base_model" in settings else ClassifierRecipe).model_validate(settings)
    split = split_examples(build_examples(recipe, data, load_catalogue()).examples, recipe)
    forward, right = score_split(model, loaded, split.later)
    if against is not None:
        other = load_model(against, threads=THREADS)
        theirs = _first_right(other, split.later)
        forward["paired"] = {"against": other.name, "against_digest": other.digest} | paired(right, theirs)
    development, _ = score_split(model, loaded, split.development)
    return {
        "policy": "none: every weakness the model knows, without the shift of policy nvd; 'policy_mitre' apart",
        "right": "any of the entries that the preferred party (CNA, else CISA, else NVD) assigned; 'first': the first of them",
        "interval": "95 %, Wilson, over items",
        "model": loaded.name,
        "model_digest": loaded.digest,
        "trained_before": str(recipe.split.development_from),
        "development": development | {"from": str(recipe.split.development_from), "until": str(recipe.split.test_from)},
        "forward": forward
        | {"from": str(recipe.split.test_from), "dated_by": "publication date, else the reservation order of the CVE ID"},
    }


def score_split(name: str, model: CweModel, examples: Sequence[Example]) -> tuple[dict[str, Any], list[bool]]:
    """Return the scores of a split, and for each of its examples whether the first of all weaknesses is right.

    Args:
        name: of the model, or its path, to answer under policy mitre with.
    """
    scores, probabilities = _score(model, examples)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    answers = [[model.labels[i] for i in row] for row in best]
    right = [answer[0] in example.labels for answer, example in zip(answers, examples, strict=True)]
    confidence = np.take_along_axis(probabilities, best[:, :1], axis=1)[:, 0]
    found = {
        "n": len(examples),
        "items_sha256": sha256("\n".join(example.cve_id for example in examples).encode()),
        "any": share(right),
        "first": share([answer[0] == each.labels[0] for answer, each in zip(answers, examples, strict=True)]),
        "any_top3": share([bool(set(answer) & set(each.labels)) for answer, each in zip(answers, examples, strict=True)]),
        "calibration_error_15_bins": round(expected_calibration_error(confidence, np.array(right)), 4),
        "reliability": reliability(confidence.tolist(), right),
        "coverage_curve": coverage_curve(confidence.tolist(), right),
        "by_party": slices([example.party for example in examples], right),
        "by_year": slices([example.cve_id[4:8] for example in examples], right, _MIN_YEAR),
        "policy_mitre": _policy_mitre(name, examples),
        "labels_the_model_does_not_know": sum(not set(e.labels) & set(model.labels) for e in examples),
    }
    return found, right


def _policy_mitre(model: str, examples: Sequence[Example]) -> dict[str, Any]:
    texts, golds = [example.text for example in examples], [example.labels for example in examples]
    answers = Classifier(model, policy="mitre", threshold=0, explain=False, threads=THREADS).classify(texts)
    ranks = [rank_of(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
    right = np.array([rank == 1 for rank in ranks])
    return {
        "any": share([rank == 1 for rank in ranks]),
        "any_top3": share([0 < rank <= 3 for rank in ranks]),
        "calibration_error_15_bins": round(expected_calibration_error(confidence_of(answers), right), 4),
        "selective": own_threshold(model, "mitre", texts, golds),
    }


def _score(model: CweModel, examples: Sequence[Example]) -> tuple[Any, Any]:
    """Return scores and probabilities, shape (n, K), as the model answers without a party's habits."""
    texts = [example.text for example in examples]
    batches = [model.score(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
    return np.concatenate([each.scores for each in batches]), np.concatenate([each.probabilities for each in batches])


def _first_right(model: CweModel, examples: Sequence[Example]) -> list[bool]:
    first = _score(model, examples)[0].argmax(axis=1)
    return [model.labels[i] in example.labels for i, example in zip(first, examples, strict=True)]
