"""Accuracy of a shipped classifier on CTI-Bench's cti-rcm, and on the dated splits of its own recipe."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from ctiforge.classify import Classifier, Prediction
from ctiforge.classify.classifier import load_model
from ctiforge.core.files import file_sha256
from ctiforge.core.ids import find_cve_ids
from ctiforge.core.metrics import expected_calibration_error, wilson_interval
from ctiforge.models.cwe_model import CweModel
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.examples import Example
from ctiforge.train.recipe import ClassifierRecipe, ExampleRecipe
from ctiforge.train.splits import build_examples, split_examples

__all__ = ["measure_accuracy", "measure_dated_splits"]


THREADS = 2
_BATCH = 128
_COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def measure_accuracy(tsv: Path, model: str) -> dict[str, Any]:
    """Score cti-rcm (columns URL, Description and GT). Every item gets an answer: the threshold is 0 unless stated."""
    with tsv.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    texts = [row["Description"] for row in rows]
    golds = [row["GT"].strip() for row in rows]
    nvd = Classifier(model, policy="nvd", threshold=0, threads=THREADS)
    answers = nvd.classify(texts)
    catalogue = nvd.catalogue
    allowed_answers = Classifier(model, policy="mitre", threshold=0, threads=THREADS).classify(texts)
    right = [_rank(answer, [gold]) == 1 for answer, gold in zip(answers, golds, strict=True)]
    allowed_items = [i for i, gold in enumerate(golds) if catalogue.is_suggestable(gold)]
    return {
        "data": tsv.name,
        "data_sha256": file_sha256(tsv),
        "n": len(golds),
        "policy": "nvd",
        "model": nvd.model.name,
        "model_digest": nvd.model.digest,
        "cwe_version": catalogue.version,
        "top1": _share(right),
        "top3": _share([0 < _rank(answer, [gold]) <= 3 for answer, gold in zip(answers, golds, strict=True)]),
        "top5": _share([0 < _rank(answer, [gold]) <= 5 for answer, gold in zip(answers, golds, strict=True)]),
        "hierarchy_top1": _share([_related(answer, gold, catalogue) for answer, gold in zip(answers, golds, strict=True)])
        | {"rule": "the answer is the gold entry, or its ancestor or descendant in View-1000"},
        "macro_f1": round(_macro_f1(answers, golds, 1), 4),
        "macro_f1_labels_with_5_items": round(_macro_f1(answers, golds, 5), 4),
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
        "selective": _selective(texts, golds, model),
        "coverage_curve": _coverage_curve(answers, right),
        "by_year": {
            year: _share([right[i] for i, row in enumerate(rows) if _year(row["URL"]) == year])
            for year in sorted({_year(row["URL"]) for row in rows})
        },
        "labels_with_10_items": _by_label(answers, golds, 10),
        "majority_baseline": round(Counter(golds).most_common(1)[0][1] / len(golds), 4),
        "golds_the_model_does_not_know": sum(gold not in nvd.model.labels for gold in golds),
    }


def measure_dated_splits(data: Path, model: str, against: str | None = None) -> dict[str, Any]:
    """Rebuild the recipe's splits; score the development split, and the later CVEs that the model never saw.

    An answer is right if it is one of the entries that the preferred party assigned (``any``); ``first`` asks for the first
    of them, though the party's order is lost in some feeds.

    Args:
        against: another model, to compare with on the same later CVEs by McNemar's exact test.
    """
    classifier = Classifier(model, policy="mitre", threshold=0, explain=False, threads=THREADS)
    settings = classifier.model.manifest["recipe"]
    recipe: ExampleRecipe = (EncoderRecipe if "base_model" in settings else ClassifierRecipe).model_validate(settings)
    split = split_examples(build_examples(recipe, data, classifier.catalogue).examples, recipe)
    forward, right = _score_examples(classifier, split.later)
    if against is not None:
        other = load_model(against, threads=THREADS)
        forward["paired"] = {"against": other.name, "digest": other.digest} | _paired(right, _right_first(other, split.later))
    return {
        "policy": "none: every weakness the model knows, without the shift of policy nvd",
        "model_digest": classifier.model.digest,
        "trained_before": str(recipe.split.development_from),
        "left_out_of_training": classifier.model.manifest.get("left_out"),
        "development": _score_examples(classifier, split.development)[0]
        | {"from": str(recipe.split.development_from), "until": str(recipe.split.test_from)},
        "forward": forward
        | {"from": str(recipe.split.test_from), "dated_by": "publication date, else the reservation order of the CVE ID"},
    }


def _scores(model: CweModel, examples: Sequence[Example]) -> tuple[Any, Any]:
    """Return scores and probabilities, shape (n, K), as the model answers without a party's habits."""
    texts = [example.text for example in examples]
    batches = [model.score(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
    return np.concatenate([each.scores for each in batches]), np.concatenate([each.probabilities for each in batches])


def _right_first(model: CweModel, examples: Sequence[Example]) -> list[bool]:
    first = _scores(model, examples)[0].argmax(axis=1)
    return [model.labels[i] in example.labels for i, example in zip(first, examples, strict=True)]


def _paired(ours: Sequence[bool], theirs: Sequence[bool]) -> dict[str, Any]:
    """Compare two models' right and wrong answers to the same items: McNemar's exact test, two-sided."""
    only_ours = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    only_theirs = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    p = binomtest(only_ours, only_ours + only_theirs).pvalue if only_ours + only_theirs else 1.0
    return {
        "n": len(ours),
        "difference": round((only_ours - only_theirs) / len(ours), 4),
        "only_ours_right": only_ours,
        "only_theirs_right": only_theirs,
        "mcnemar_p": float(f"{p:.3g}"),
    }


def _score_examples(classifier: Classifier, examples: Sequence[Example]) -> tuple[dict[str, Any], list[bool]]:
    model = classifier.model
    scores, probabilities = _scores(model, examples)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    given = [[model.labels[i] for i in row] for row in best]
    pairs = list(zip(given, examples, strict=True))
    right = [answer[0] in example.labels for answer, example in pairs]
    confidence = np.take_along_axis(probabilities, best[:, :1], axis=1)[:, 0]
    allowed = classifier.classify(example.text for example in examples)
    found = {
        "n": len(examples),
        "any": _share(right),
        "first": _share([answer[0] == example.labels[0] for answer, example in pairs]),
        "any_top3": _share([bool(set(answer) & set(example.labels)) for answer, example in pairs]),
        "calibration_error_15_bins": round(expected_calibration_error(confidence, np.array(right)), 4),
        "reliability": _reliability(confidence, right),
        "by_party": {
            party: _share([ok for ok, example in zip(right, examples, strict=True) if example.party == party])
            for party in sorted({example.party for example in examples})
        },
        "policy_mitre_any": _share([_rank(answer, e.labels) == 1 for answer, e in zip(allowed, examples, strict=True)]),
        "labels_the_model_does_not_know": sum(not set(e.labels) & set(model.labels) for e in examples),
    }
    return found, right


def _reliability(confidence: Any, right: Sequence[bool], bins: int = 15) -> list[dict[str, float]]:
    """Return mean probability and share of right answers of each bin that has any."""
    place = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    hits = np.array(right)
    return [
        {"n": int((place == i).sum()), "probability": round(float(confidence[place == i].mean()), 4),
         "right": round(float(hits[place == i].mean()), 4)}
        for i in range(bins) if (place == i).any()
    ]  # fmt: skip


def _coverage_curve(answers: Sequence[Prediction], right: Sequence[bool]) -> list[dict[str, float]]:
    """Return the accuracy of the answers that the model is surest of, for some shares of all items."""
    confidence = np.array([answer.suggestions[0].probability if answer.suggestions else 0.0 for answer in answers])
    ordered = np.array(right)[np.argsort(-confidence, kind="stable")]
    return [{"coverage": c, "accuracy": round(float(ordered[: round(c * len(ordered))].mean()), 4)} for c in _COVERAGES]


def _year(url: str) -> str:
    return next((cve[4:8] for cve in find_cve_ids(url)), "unknown")


def _by_label(answers: Sequence[Prediction], golds: Sequence[str], min_items: int) -> dict[str, dict[str, Any]]:
    """Return, for each gold label with enough items, how many were right and what was answered instead most often."""
    given = [answer.suggestions[0].cwe_id if answer.suggestions else "none" for answer in answers]
    found = {}
    for label, n in Counter(golds).most_common():
        if n < min_items:
            break
        said = Counter(one for one, gold in zip(given, golds, strict=True) if gold == label)
        wrong = [each for each in said.most_common(3) if each[0] != label][:2]
        found[label] = {"n": n, "right": said[label], "instead": [[cwe_id, times] for cwe_id, times in wrong]}
    return found


def _selective(texts: Sequence[str], golds: Sequence[str], model: str) -> dict[str, Any]:
    """Score only the answers that the model gives with its own threshold."""
    classifier = Classifier(model, policy="nvd", threads=THREADS)
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


def _macro_f1(answers: Sequence[Prediction], golds: Sequence[str], min_items: int) -> float:
    given = [answer.suggestions[0].cwe_id if answer.suggestions else "" for answer in answers]
    right = Counter(gold for one, gold in zip(given, golds, strict=True) if one == gold)
    counts, said = Counter(golds), Counter(given)
    chosen = [label for label, n in counts.items() if n >= min_items]
    return sum(2 * right[label] / (counts[label] + said[label]) for label in chosen) / len(chosen)


def _calibration(answers: Sequence[Prediction], golds: Sequence[Sequence[str]]) -> float:
    confidence = np.array([answer.suggestions[0].probability if answer.suggestions else 0.0 for answer in answers])
    right = np.array([_rank(answer, gold) == 1 for answer, gold in zip(answers, golds, strict=True)])
    return expected_calibration_error(confidence, right)
