"""Measure the table of rare weaknesses: does the text of MITRE's definition lead to entries that the model has no label for?

    .venv/bin/python benchmarks/rare.py --data DIR [--model FOLDER]

DIR holds the files named in src/ctiforge/recipes/classifier-fast.yaml; benchmark CVEs are left out. Writes
benchmarks/results/rare.json.

The CVEs asked for are those whose assigned entry is none of the model's labels: `older` ones, dated before the development
split, which training left out because their label is too rare; those of the `development` split; and `later` ones. A CVE that
MITRE names as an observed example of its entry is left out, because its words are then in the table. What the vectors are made
of was chosen on the three together, the floor on the development split's ordinary CVEs, whose assigned entry the model knows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctiforge import __version__
from ctiforge.classify.classifier import Classifier, bundled_model_path
from ctiforge.core.files import write_json
from ctiforge.core.manifest import git_revision
from ctiforge.core.metrics import wilson_interval
from ctiforge.models.linear import LinearModel
from ctiforge.models.postings import Postings
from ctiforge.models.rare import DEFAULT_FLOOR, build_rare_vectors
from ctiforge.models.text_vectors import ngram_model
from ctiforge.sources.cwe_texts import load_cwe_texts
from ctiforge.train.examples import Example
from ctiforge.train.rare import rare_weaknesses, whole_text
from ctiforge.train.recipe import load_recipe
from ctiforge.train.splits import build_examples, split_examples

RESULTS = Path(__file__).parent / "results" / "rare.json"
WEAK = ("low_probability", "only_discouraged")
FLOORS = [round(0.1 + 0.01 * i, 2) for i in range(21)]
FALSE_ALARMS = 0.02
"""Of the ordinary CVEs for which nothing is suggested, the share that may be shown rare entries."""
BATCH = 256


@dataclass(frozen=True, slots=True)
class Measured:
    """n CVEs: whether nothing is suggested, the similarity of the R entries (n, R), and which of them are assigned (n, R)."""

    weak: npt.NDArray[np.bool_]
    similar: npt.NDArray[np.float32]
    assigned: npt.NDArray[np.bool_]

    def rank(self) -> npt.NDArray[np.int64]:
        """Return the 0-based rank of the best assigned entry."""
        rank: npt.NDArray[np.int64] = (self.similar > self.own()[:, None]).sum(axis=1)
        return rank

    def own(self) -> npt.NDArray[np.float32]:
        """Return the similarity of the best assigned entry."""
        best: npt.NDArray[np.float32] = np.where(self.assigned, self.similar, np.float32(-1)).max(axis=1)
        return best

    def reached(self, floor: float) -> npt.NDArray[np.bool_]:
        """Say which CVEs are shown an assigned entry: one of the three nearest, at or above the floor."""
        reached: npt.NDArray[np.bool_] = (self.rank() < 3) & (self.own() >= floor) & self.weak
        return reached

    def shown(self, floor: float) -> npt.NDArray[np.bool_]:
        """Say which CVEs are shown any entry."""
        shown: npt.NDArray[np.bool_] = (self.similar.max(axis=1) >= floor) & self.weak
        return shown


def measure(
    examples: Sequence[Example], classifier: Classifier, ngrams: LinearModel, table: Postings, entries: list[str]
) -> Measured:
    place = {cwe_id: i for i, cwe_id in enumerate(entries)}
    weak = np.array([each.reason in WEAK for each in classifier.classify(each.text for each in examples)], dtype=bool)
    similar = np.zeros((len(examples), len(entries)), dtype=np.float32)
    assigned = np.zeros(similar.shape, dtype=bool)
    for start in range(0, len(examples), BATCH):
        features = ngrams.features([each.text for each in examples[start : start + BATCH]])
        for row, example in enumerate(examples[start : start + BATCH]):
            own = features.of(row)
            similar[start + row] = table.similarities(features.ids[own], features.values[own])
            assigned[start + row, [place[label] for label in example.labels if label in place]] = True
    return Measured(weak, similar, assigned)


def share(hits: npt.NDArray[np.bool_]) -> dict[str, Any]:
    interval = wilson_interval(int(hits.sum()), len(hits))
    return {
        "n": len(hits),
        "share": round(float(hits.mean()), 4) if len(hits) else None,
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
    }


def recalls(found: Measured) -> dict[str, Any]:
    rank = found.rank()
    return {
        "nothing_suggested": share(found.weak),
        "recall_at_3": share(rank < 3),
        "recall_at_10": share(rank < 10),
        "recall_at_3_where_nothing_is_suggested": share(rank[found.weak] < 3),
        "recall_at_10_where_nothing_is_suggested": share(rank[found.weak] < 10),
    }


def at_floor(floor: float, rare: dict[str, Measured], ordinary: dict[str, Measured]) -> dict[str, Any]:
    newer = [(rare[part], ordinary[part]) for part in ordinary]
    shown = sum(int(found.shown(floor).sum()) for pair in newer for found in pair)
    right = sum(int(found.reached(floor).sum()) for found, _ in newer)
    return {
        "floor": floor,
        "shown_of_ordinary_where_nothing_is_suggested": {
            part: share(found.shown(floor)[found.weak]) for part, found in ordinary.items()
        },
        "shown_of_all_ordinary": {part: share(found.shown(floor)) for part, found in ordinary.items()},
        "reached_of_rare": {part: share(found.reached(floor)) for part, found in rare.items()},
        "right_of_shown_in_development_and_later": share(np.arange(shown) < right),
    }


def run(data: Path, model: Path | None) -> dict[str, Any]:
    classifier = Classifier(model or "fast", explain=False)
    ngrams = ngram_model(classifier.model)
    if ngrams is None:
        raise SystemExit("the model has no n-grams")
    texts = load_cwe_texts()
    entries = rare_weaknesses(texts, classifier.catalogue, classifier.model.labels)
    table = build_rare_vectors(ngrams, [each.name for each in entries], [whole_text(each) for each in entries])
    cwe_ids = [each.cwe_id for each in entries]
    observed = {(each.cwe_id, example.cve_id) for each in entries for example in each.examples}
    recipe = load_recipe("classifier-fast")
    split = split_examples(build_examples(recipe, data, classifier.catalogue).examples, recipe)
    parts = {"older": split.train, "development": split.development, "later": split.later}
    rare, ordinary, left_out = {}, {}, {}
    known = set(cwe_ids)
    for part, examples in parts.items():
        asked = [each for each in examples if known & set(each.labels)]
        new = [each for each in asked if not any((label, each.cve_id) in observed for label in each.labels)]
        left_out[part] = len(asked) - len(new)
        rare[part] = measure(new, classifier, ngrams, table, cwe_ids)
        if part != "older":
            others = [each for each in examples if not known & set(each.labels)]
            ordinary[part] = measure(others, classifier, ngrams, table, cwe_ids)
        print(part, json.dumps(recalls(rare[part])), flush=True)
    floors = [at_floor(floor, rare, ordinary) for floor in FLOORS]
    alarms = [each["shown_of_ordinary_where_nothing_is_suggested"]["development"]["share"] for each in floors]
    return {
        "model": classifier.model.name,
        "model_digest": classifier.model.digest,
        "policy": classifier.policy,
        "cwe_version": texts.version,
        "entries": len(entries),
        "values": len(table.values),
        "labels": len(classifier.model.labels),
        "assigned": "an entry of the most trusted party that assigned any: CNA, ADP, NVD",
        "left_out_as_observed_examples": left_out,
        "recall": {part: recalls(found) for part, found in rare.items()},
        "floors": floors,
        "chosen_floor": next((floor for floor, alarm in zip(FLOORS, alarms, strict=True) if alarm <= FALSE_ALARMS), None),
        "chosen_by": f"the lowest floor at which at most {FALSE_ALARMS:.0%} of the development split's ordinary CVEs without a "
        "suggestion are shown any entry",
        "shipped_floor": DEFAULT_FLOOR,
        "shipped_with_the_model": (bundled_model_path("fast") / "rare.json").exists(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result = run(arguments.data, arguments.model) | {
        "command": "benchmarks/rare.py --data DIR",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "ctiforge": __version__,
        "git_revision": git_revision(),
    }
    write_json(arguments.out, result)
    print(json.dumps({key: result[key] for key in ("recall", "chosen_floor")}, indent=2))


if __name__ == "__main__":
    main()
