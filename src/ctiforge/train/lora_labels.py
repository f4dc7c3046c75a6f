"""What a fine-tuned model says of labels when it may write nothing else: accuracy and calibration on the development split."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.label_scoring import LabelScorer
from ctiforge.models.transformers_batch import LoadedModel
from ctiforge.train.calibration import fit_calibration
from ctiforge.train.chat_examples import TurnEncoder, last_line
from ctiforge.train.lora_corpus import LoraCorpus

__all__ = ["corpus_labels", "measure_labels"]

_CWE = re.compile(r"CWE-\d+")
_BATCH = 8
_PRECISION = 0.6
_FEWEST = 20
_LEAST = 1e-9


def corpus_labels(corpus: LoraCorpus) -> list[str]:
    """Return the CWE IDs that the training records of kind ``rcm`` end with, sorted by number."""
    found = {last_line(row["completion"]) for row in corpus.train if row["kind"] == "rcm"}
    return sorted((each for each in found if _CWE.fullmatch(each)), key=lambda each: int(each[4:]))


def measure_labels(
    model: Any,
    tokenizer: Any,
    encoder: TurnEncoder,
    corpus: LoraCorpus,
    count: int,
    *,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Score the newest development records and return labels, calibration, threshold and what they come to.

    The threshold is the probability from which suggestions are right often enough: a precision of 0.6 on these records.
    Returns labels only where there are too few records for a calibration.
    """
    labels = corpus_labels(corpus)
    rows = [row for row in corpus.development if row["kind"] == "rcm" and last_line(row["completion"]) in labels][-count:]
    if len(labels) < 2 or len(rows) < _FEWEST:
        return {"labels": labels, "calibration": None, "threshold": None, "label_scoring": None}
    loaded = LoadedModel(
        model=model.eval(),
        tokenizer=tokenizer,
        device=str(model.device),
        dtype="",
        attention="",
        end_tokens=(encoder.ending[-1],),
        pad_token=tokenizer.pad_token_id,
        context_size=None,
        chat_template="",
    )
    scorer = LabelScorer(loaded, labels)
    prompts = [encoder.prompt(row["prompt"]) for row in rows]
    shares = np.concatenate([scorer.score(prompts[start : start + _BATCH]) for start in range(0, len(prompts), _BATCH)])
    scores = np.log(np.maximum(shares, _LEAST)).astype(np.float32)
    golds = [labels.index(last_line(row["completion"])) for row in rows]
    hits = np.zeros(scores.shape, np.bool_)
    hits[np.arange(len(golds)), golds] = True
    calibration = fit_calibration(scores, hits)
    probabilities = calibration.probabilities(scores)
    best = scores.argmax(1)
    right = best == np.array(golds)
    sure = probabilities[np.arange(len(best)), best]
    threshold = _threshold(sure, right)
    measured = {
        "n": len(rows),
        "accuracy": round(float(right.mean()), 4),
        "top3": round(float(hits[np.arange(len(golds))[:, None], np.argsort(-scores, 1)[:, :3]].any(1).mean()), 4),
        "calibration_error": round(expected_calibration_error(sure, right), 4),
    }
    report(
        f"labels: {len(labels)}; development top-1 {measured['accuracy']:.3f}, top-3 {measured['top3']:.3f}, n={len(rows):,}"
    )
    return {
        "labels": labels,
        "calibration": {name: getattr(calibration, name) for name in ("temperature", "slope", "intercept")},
        "threshold": {"mitre": threshold, "nvd": threshold},
        "label_scoring": measured,
    }


def _threshold(sure: Any, right: Any) -> float:
    """Return the lowest probability from which on answers are right often enough, 1 if they never are."""
    order: Sequence[int] = np.argsort(-sure, kind="stable").tolist()
    enough = np.cumsum(right[order]) / np.arange(1, len(order) + 1) >= _PRECISION
    if not enough.any():
        return 1.0
    return round(float(sure[order[int(np.nonzero(enough)[0][-1])]]), 4)
