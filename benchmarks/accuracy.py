"""Accuracy of a classifier on CTI-Bench's cti-rcm, under both policies, and what the model learnt that is near to it."""

from __future__ import annotations

import csv
import json
import lzma
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figures import commonest_confusions, coverage_curve, label_scores, macro_f1, reliability, share, slices

from ctiforge.classify import Classifier, Prediction
from ctiforge.core.files import file_sha256
from ctiforge.core.ids import find_cve_ids
from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.blend import BlendModel
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.second_encoder import SecondEncoder
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["THREADS", "confidence_of", "held_out", "measure_accuracy", "own_threshold", "rank_of", "read_cti_rcm"]

THREADS = 2
_MIN_LABEL, _MIN_CNA = 10, 15
_NO_CNA = "not in the feed"


def read_cti_rcm(tsv: Path) -> list[dict[str, str]]:
    """Return the rows of the benchmark's file: columns URL, Description and GT among others."""
    with tsv.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def measure_accuracy(tsv: Path, feed: Path, model: str) -> dict[str, Any]:
    """Score cti-rcm. Every item gets an answer: the threshold is 0 unless stated.

    Args:
        feed: CVE records, which say what CNA some of the CVEs are from.
    """
    rows = read_cti_rcm(tsv)
    texts, golds = [row["Description"] for row in rows], [row["GT"].strip() for row in rows]
    cves = [next(iter(find_cve_ids(row["URL"])), "") for row in rows]
    nvd = Classifier(model, policy="nvd", threshold=0, explain=False, threads=THREADS)
    answers = nvd.classify(texts)
    confidence = confidence_of(answers)
    given = [answer.suggestions[0].cwe_id if answer.suggestions else "none" for answer in answers]
    right = [one == gold for one, gold in zip(given, golds, strict=True)]
    return {
        "data": tsv.name,
        "data_sha256": file_sha256(tsv),
        "n": len(golds),
        "policy": "nvd",
        "interval": "95 %, Wilson, over items",
        "model": nvd.model.name,
        "model_digest": nvd.model.digest,
        "cwe_version": nvd.catalogue.version,
        **_ranks(answers, golds),
        "hierarchy_top1": share([_related(answer, gold, nvd.catalogue) for answer, gold in zip(answers, golds, strict=True)])
        | {"rule": "the answer is the gold entry, or its ancestor or descendant in View-1000"},
        "macro_f1": macro_f1(given, golds),
        "macro_f1_labels_with_5_items": macro_f1(given, golds, 5),
        "calibration_error_15_bins": round(expected_calibration_error(confidence, np.array(right)), 4),
        "reliability": reliability(confidence.tolist(), right),
        "allowed_only": _allowed_only(texts, golds, model),
        "selective": own_threshold(model, "nvd", texts, [[gold] for gold in golds]),
        "coverage_curve": coverage_curve(confidence.tolist(), right),
        "by_year": slices([cve[4:8] for cve in cves], right, _MIN_LABEL),
        "by_cna": slices(_cnas(cves, feed), right, _MIN_CNA),
        "cna_feed": feed.name,
        "labels_with_10_items": label_scores(given, golds, _MIN_LABEL),
        "commonest_confusions": commonest_confusions(given, golds),
        "majority_baseline": round(Counter(golds).most_common(1)[0][1] / len(golds), 4),
        "golds_the_model_does_not_know": sum(gold not in nvd.model.labels for gold in golds),
        "held_out": held_out(nvd.model),
    }


def held_out(model: CweModel) -> list[dict[str, Any]]:
    """Return by what rules benchmark items were kept out of the training of each part of a model, and how many texts left.

    None in a rule: it was not applied. The counts are those of the part's manifest, by reason.
    """
    parts: list[CweModel | SecondEncoder] = [model]
    if isinstance(model, BlendModel):
        parts = [model.encoder, *([model.second] if model.second else []), model.linear]
    found = []
    for part in parts:
        recipe, left_out = part.manifest["recipe"], part.manifest["left_out"]
        found.append(
            {
                "part": part.name,
                "kind": part.manifest["format"].partition("/")[0].removeprefix("ctiforge-"),
                "digest": part.digest,
                "files": [each["path"] for each in recipe["exclude"]],
                "near_duplicate_jaccard": recipe.get("near_duplicate"),
                "shared_8_grams_above": recipe.get("shared_phrases"),
                "left_out": {
                    reason: left_out.get(f"benchmark_{reason}", 0)
                    for reason in ("exact_id", "exact_text", "near_duplicate", "shared_phrases")
                },
            }
        )
    return found


def _ranks(answers: Sequence[Prediction], golds: Sequence[str]) -> dict[str, dict[str, float]]:
    ranks = [rank_of(answer, [gold]) for answer, gold in zip(answers, golds, strict=True)]
    return {f"top{k}": share([0 < rank <= k for rank in ranks]) for k in (1, 3, 5)}


def _allowed_only(texts: Sequence[str], golds: Sequence[str], model: str) -> dict[str, Any]:
    classifier = Classifier(model, policy="mitre", threshold=0, explain=False, threads=THREADS)
    answers = classifier.classify(texts)
    catalogue = classifier.catalogue
    allowed = [i for i, gold in enumerate(golds) if catalogue.is_suggestable(gold)]
    ranks = _ranks(answers, golds)
    right = np.array([rank_of(answer, [gold]) == 1 for answer, gold in zip(answers, golds, strict=True)])
    return {
        "policy": "mitre",
        "all_items": ranks["top1"],
        "top3": ranks["top3"],
        "top5": ranks["top5"],
        "items_with_suggestable_gold": share([bool(right[i]) for i in allowed]),
        "best_possible": round(len(allowed) / len(golds), 4),
        "calibration_error_15_bins": round(expected_calibration_error(confidence_of(answers), right), 4),
        "answers_not_allowed": sum(not catalogue.is_suggestable(s.cwe_id) for answer in answers for s in answer.suggestions),
        "selective": own_threshold(model, "mitre", texts, [[gold] for gold in golds]),
    }


def own_threshold(model: str, policy: str, texts: Sequence[str], golds: Sequence[Collection[str]]) -> dict[str, Any]:
    """Score only the answers that the model gives with its own threshold."""
    classifier = Classifier(model, policy=policy, explain=False, threads=THREADS)
    answers = classifier.classify(texts)
    given = [rank_of(answer, gold) == 1 for answer, gold in zip(answers, golds, strict=True) if not answer.abstained]
    return {
        "threshold": classifier.threshold,
        "coverage": round(len(given) / len(golds), 4),
        "accuracy_of_answers": share(given),
        "abstained": dict(Counter(answer.reason for answer in answers if answer.reason)),
    }


def confidence_of(answers: Sequence[Prediction]) -> Any:
    """Return the probability of each answer's first suggestion, 0 where there is none: float64, shape (n,)."""
    return np.array([answer.suggestions[0].probability if answer.suggestions else 0.0 for answer in answers])


def rank_of(answer: Prediction, golds: Collection[str]) -> int:
    """Return the 1-based rank of the first suggestion that is in `golds`, or 0."""
    return next((rank for rank, s in enumerate(answer.suggestions, 1) if s.cwe_id in golds), 0)


def _related(answer: Prediction, gold: str, catalogue: CweCatalogue) -> bool:
    if not answer.suggestions:
        return False
    given = answer.suggestions[0].cwe_id
    return given == gold or given in catalogue.ancestors(gold) or gold in catalogue.ancestors(given)


def _cnas(cves: Sequence[str], feed: Path) -> list[str]:
    """Return the CNA of each CVE by its record in a feed of CVE JSON 5 lines."""
    wanted = set(cves)
    cna: dict[str, str] = {}
    with lzma.open(feed) as lines:
        for line in lines:
            about = json.loads(line).get("cveMetadata", {})
            if about.get("cveId") in wanted:
                cna[about["cveId"]] = about.get("assignerShortName", _NO_CNA)
    return [cna.get(cve, _NO_CNA) for cve in cves]
