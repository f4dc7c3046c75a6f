"""Accuracy of the shipped classifier on CTI-Bench's cti-rcm, and on the dated splits of its own recipe."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ctiforge.classify import Classifier, Prediction
from ctiforge.core.files import file_sha256
from ctiforge.core.metrics import expected_calibration_error, wilson_interval
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.examples import Example
from ctiforge.train.recipe import ClassifierRecipe
from ctiforge.train.splits import build_examples, split_examples

__all__ = ["measure_accuracy", "measure_dated_splits"]


def measure_accuracy(tsv: Path) -> dict[str, Any]:
    """Score cti-rcm (columns Description and GT). Every item gets an answer: the threshold is 0 unless stated."""
    with tsv.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    texts = [row["Description"] for row in rows]
    golds = [row["GT"].strip() for row in rows]
    nvd = Classifier(policy="nvd", threshold=0)
    answers = nvd.classify(texts)
    catalogue = nvd.catalogue
    allowed_answers = Classifier(policy="mitre", threshold=0).classify(texts)
    allowed_items = [i for i, gold in enumerate(golds) if catalogue.is_suggestable(gold)]
    return {
        "data": tsv.name,
        "data_sha256": file_sha256(tsv),
        "n": len(golds),
        "policy": "nvd",
        "model": nvd.model.name,
        "model_digest": nvd.model.digest,
        "cwe_version": catalogue.version,
        "top1": _share([_rank(answer, [gold]) == 1 for answer, gold in zip(answers, golds, strict=True)]),
        "top3": _share([0 < _rank(answer, [gold]) <= 3 for answer, gold in zip(answers, golds, strict=True)]),
        "top5": _share([0 < _rank(answer, [gold]) <= 5 for answer, gold in zip(answers, golds, strict=True)]),
        "hierarchy_top1": _share([_related(answer, gold, catalogue) for answer, gold in zip(answers, golds, strict=True)])
        | {"rule": "the answer is the gold entry, or its ancestor or descendant in View-1000"},
        "macro_f1": round(_macro_f1(answers, golds), 4),
        "calibration_error_15_bins": round(_calibration(answers, [[gold] for gold in golds]), 4),
        "allowed_only": {
            "policy": "mitre",
            "all_items": _share([_rank(a, [g]) == 1 for a, g in zip(allowed_answers, golds, strict=True)]),
            "items_with_suggestable_gold": _share([_rank(allowed_answers[i], [golds[i]]) == 1 for i in allowed_items]),
            "best_possible": round(len(allowed_items) / len(golds), 4),
            "answers_not_allowed": sum(
                not catalogue.is_suggestable(s.cwe_id) for answer in allowed_answers for s in answer.suggestions
            ),
        },
        "selective": _selective(texts, golds),
        "majority_baseline": round(Counter(golds).most_common(1)[0][1] / len(golds), 4),
        "golds_the_model_does_not_know": sum(gold not in nvd.model.labels for gold in golds),
    }


def measure_dated_splits(data: Path) -> dict[str, Any]:
    """Rebuild the recipe's splits; score the development split, and the later CVEs that the model never saw.

    An answer is right if it is one of the entries that the preferred party assigned (``any``); ``first`` asks for the first
    of them, though the party's order is lost in some feeds.
    """
    classifier = Classifier(policy="mitre", threshold=0, explain=False)
    recipe = ClassifierRecipe.model_validate(classifier.model.manifest["recipe"])
    split = split_examples(build_examples(recipe, data, classifier.catalogue).examples, recipe)
    return {
        "policy": "none: every weakness the model knows, without the shift of policy nvd",
        "model_digest": classifier.model.digest,
        "trained_before": str(recipe.split.development_from),
        "development": _score_examples(classifier, split.development)
        | {"from": str(recipe.split.development_from), "until": str(recipe.split.test_from)},
        "forward": _score_examples(classifier, split.later)
        | {"from": str(recipe.split.test_from), "dated_by": "publication date, else the reservation order of the CVE ID"},
    }


def _score_examples(classifier: Classifier, examples: Sequence[Example]) -> dict[str, Any]:
    model = classifier.model
    scored = score_examples(model, [example.text for example in examples])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    given = [[model.labels[i] for i in row] for row in best]
    pairs = list(zip(given, examples, strict=True))
    right = [answer[0] in example.labels for answer, example in pairs]
    allowed = classifier.classify(example.text for example in examples)
    return {
        "n": len(examples),
        "any": _share(right),
        "first": _share([answer[0] == example.labels[0] for answer, example in pairs]),
        "any_top3": _share([bool(set(answer) & set(example.labels)) for answer, example in pairs]),
        "calibration_error_15_bins": round(
            expected_calibration_error(model.probabilities(scores, "mitre").max(axis=1), np.array(right)), 4
        ),
        "policy_mitre_any": _share([_rank(answer, e.labels) == 1 for answer, e in zip(allowed, examples, strict=True)]),
        "labels_the_model_does_not_know": sum(not set(e.labels) & set(classifier.model.labels) for e in examples),
    }


def _selective(texts: Sequence[str], golds: Sequence[str]) -> dict[str, Any]:
    """Score only the answers that the model gives with its own threshold."""
    classifier = Classifier(policy="nvd")
    answers = classifier.classify(texts)
    given = [_rank(answer, [gold]) == 1 for answer, gold in zip(answers, golds, strict=True) if not answer.abstained]
    return {
        "threshold": classifier.threshold,
        "coverage": round(len(given) / len(golds), 4),
        "accuracy_of_answers": _share(given),
        "abstained": dict(Counter(answer.reason for answer in answers if answer.reason)),
    }


def _rank(answer: Prediction, golds: Sequence[str]) -> int:
    """Return the 1-based rank of the first suggestion that is in `golds`, or 0."""
    return next((rank for rank, s in enumerate(answer.suggestions, 1) if s.cwe_id in golds), 0)


def _related(answer: Prediction, gold: str, catalogue: CweCatalogue) -> bool:
    if not answer.suggestions:
        return False
    given = answer.suggestions[0].cwe_id
    return given == gold or given in catalogue.ancestors(gold) or gold in catalogue.ancestors(given)


def _share(right: Sequence[bool]) -> dict[str, float]:
    interval = wilson_interval(sum(right), len(right))
    share = sum(right) / len(right) if right else 0.0
    return {"value": round(share, 4), "n": len(right)} | {f"ci95_{k}": round(v, 4) for k, v in asdict(interval).items()}


def _macro_f1(answers: Sequence[Prediction], golds: Sequence[str]) -> float:
    given = [answer.suggestions[0].cwe_id if answer.suggestions else "" for answer in answers]
    right = Counter(gold for one, gold in zip(given, golds, strict=True) if one == gold)
    counts, said = Counter(golds), Counter(given)
    return sum(2 * right[label] / (counts[label] + said[label]) for label in counts) / len(counts)


def _calibration(answers: Sequence[Prediction], golds: Sequence[Sequence[str]]) -> float:
    confidence = np.array([answer.suggestions[0].probability if answer.suggestions else 0.0 for answer in answers])
    right = np.array([_rank(answer, gold) == 1 for answer, gold in zip(answers, golds, strict=True)])
    return expected_calibration_error(confidence, right)
