"""Measure how long NVD's habits last: how much of a shift that was fitted to some months helps with the labels of others.

It is judged without and with the traits of the labels that decide whether NVD uses them.

    .venv/bin/python benchmarks/habits.py --data DIR --linear runs/fast

DIR holds the files named in the recipes; runs/fast is what `ctiforge train classifier` wrote, with its folder `run`: in it are
scores of NVD's window by models that have not learnt the scored example. Writes benchmarks/results/habits.json.

Three ways to judge: the usual one (quarters of the window dealt at random); whole months left out or learnt alone; and, by the
shipped model's encoder, between the window and NVD's labels of years before it, in both directions, for CVEs that the encoder
has not learnt. No benchmark item is read: they are left out of all of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import describe_machine

from ctiforge import __version__
from ctiforge.classify.classifier import bundled_model_path
from ctiforge.core.files import file_sha256, write_json
from ctiforge.core.manifest import git_revision
from ctiforge.models.encoder import EncoderModel, load_encoder
from ctiforge.models.linear import Floats
from ctiforge.sources.cwe import load_catalogue
from ctiforge.train.calibration import LASTING, Hits, fit_shift, label_traits
from ctiforge.train.classifier import WINDOW_SCORES
from ctiforge.train.development_scores import hit_matrix
from ctiforge.train.encoder_material import collect_material
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.examples import Example
from ctiforge.train.recipe import load_recipe
from ctiforge.train.splits import build_examples, split_examples

RESULTS = Path(__file__).parent / "results" / "habits.json"
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
YEARS = {"2017": (2017, 2017), "2018": (2018, 2018), "2019 and 2020": (2019, 2020)}
Rows = npt.NDArray[np.bool_]
"""Shape (n,): which examples are meant."""

_QUARTERS, _MIN_MONTH, _AT_ONCE = 4, 200, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--linear", type=Path, required=True, help="what `ctiforge train classifier` wrote, with its folder 'run'"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    recipe, catalogue = load_recipe("classifier-fast"), load_catalogue()
    split = split_examples(build_examples(recipe, arguments.data, catalogue).examples, recipe)
    encoder = load_encoder(bundled_model_path("accurate") / "encoder", threads=2)
    material = collect_material(EncoderRecipe.model_validate(encoder.manifest["recipe"]), arguments.data, catalogue)
    unseen = [each for i in material.unseen_by(None) if "nvd" in (each := material.windows[i].example).by_party]
    result = {
        "what": "top-1 and top-3 of NVD's labels, without and with traits of labels, by the share of the shift beyond them",
        "linear": _linear(arguments.linear, {each.cve_id: each for within in split.windows for each in within}),
        "encoder": _encoder(encoder, unseen, [each for each in split.train if each.party == "nvd"], material.train),
        "shipped_share": LASTING,
        "command": "benchmarks/habits.py --data DIR --linear runs/fast",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "ctiforge": __version__,
        "git_revision": git_revision(),
        "machine": describe_machine(),
    }
    write_json(arguments.out, result)
    print(arguments.out)


def _linear(folder: Path, window: dict[str, Example]) -> dict[str, Any]:
    """Judge the window, by quarters and by months."""
    with np.load(folder / "run" / WINDOW_SCORES, allow_pickle=False) as arrays:
        cve_ids, labels, scores = (arrays[name] for name in ("cve_ids", "labels", "scores"))
    examples = [window[str(cve_id)] for cve_id in cve_ids]
    names = [str(each) for each in labels]
    hits = hit_matrix(names, [each.by_party["nvd"] for each in examples])
    fold = np.random.default_rng(0).permutation(len(examples)) % _QUARTERS
    return {
        "digest": file_sha256(folder / "manifest.json"),
        "n": len(examples),
        "quarters": _judge(names, scores, hits, [(fold != each, fold == each) for each in range(_QUARTERS)]),
        "months": _judge(names, scores, hits, list(_by_month(examples))),
    }


def _by_month(examples: Sequence[Example]) -> Iterator[tuple[Rows, Rows]]:
    """Yield what to learn and what to judge: each month left out, and each learnt alone; a short month joins the one before."""
    month = np.array([each.day.month for each in examples])
    for few in [each for each in np.unique(month) if (month == each).sum() < _MIN_MONTH]:
        month[month == few] = few - 1
    for each in np.unique(month):
        yield month != each, month == each
        yield month == each, month != each


def _encoder(
    model: EncoderModel, window: Sequence[Example], labelled: Sequence[Example], learnt: Sequence[Example]
) -> dict[str, Any]:
    """Judge NVD's older labels by a shift of the half of the window that the encoder has not learnt, and that half by
    one fitted to the older labels."""
    window_scores, window_hits = _scored(model, window)
    known = {each.cve_id for each in learnt}
    found = {}
    older: list[tuple[Floats, Hits]] = []
    for name, (first, last) in YEARS.items():
        examples = [each for each in labelled if first <= each.day.year <= last and each.cve_id not in known]
        older.append(_scored(model, examples))
        shares = _judge_others(model.labels, (window_scores, window_hits), older[-1])
        found[name] = {"n": len(examples), "shares": shares}
    scores, hits = (np.concatenate(parts) for parts in zip(*older, strict=True))
    forward = _judge_others(model.labels, (scores, hits), (window_scores, window_hits))
    return {
        "digest": model.digest,
        "window": len(window),
        "years": found,
        "forward": {"fitted_on": len(scores), "shares": forward},
    }


def _judge_others(labels: Sequence[str], learnt: tuple[Floats, Hits], judged: tuple[Floats, Hits]) -> dict[str, Any]:
    scores, hits = (np.concatenate(pair) for pair in zip(learnt, judged, strict=True))
    first = np.arange(len(scores)) < len(learnt[0])
    return _judge(labels, scores, hits, [(first, ~first)])


def _scored(model: EncoderModel, examples: Sequence[Example]) -> tuple[Floats, Hits]:
    texts = [each.text for each in examples]
    scores = np.concatenate([model.encode(texts[i : i + _AT_ONCE]).logits for i in range(0, len(texts), _AT_ONCE)])
    return scores, hit_matrix(model.labels, [each.by_party["nvd"] for each in examples])


def _judge(labels: Sequence[str], scores: Floats, hits: Hits, ways: Sequence[tuple[Rows, Rows]]) -> dict[str, Any]:
    """Return the mean scores over `ways` to learn some examples and to judge others, without and with the labels' traits."""
    traits = label_traits(labels, load_catalogue())
    found = {}
    for name, used in (("without_traits", traits[:0]), ("with_traits", traits)):
        fitted = [[fit_shift(scores[learnt], hits[learnt], used, share) for share in (0.0, 1.0)] for learnt, _ in ways]
        rows = []
        for share in SHARES:
            shifts = [none + np.float32(share) * (everything - none) for none, everything in fitted]
            ranks = [_top(scores[judged] + shift, hits[judged]) for shift, (_, judged) in zip(shifts, ways, strict=True)]
            top1, top3 = np.array(ranks).mean(axis=0)
            rows.append({"share": share, "top1": round(float(top1), 4), "top3": round(float(top3), 4)})
        found[name] = rows
    return found


def _top(scores: Floats, hits: Hits) -> tuple[float, float]:
    right = np.take_along_axis(hits, np.argsort(-scores, axis=1)[:, :3], axis=1)
    return float(right[:, 0].mean()), float(right.any(axis=1).mean())


if __name__ == "__main__":
    main()
