"""Anybody's predictions as completions: our run folders, JSON Lines or CSV of ``id`` and ``completion``, published files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ctiforge.bench.completion import Completion
from ctiforge.bench.prediction_rows import PredictionRow, read_prediction_file
from ctiforge.bench.task import LoadedTask, Sample
from ctiforge.core.errors import InputError
from ctiforge.core.ids import find_cve_id, parse_cve_id

__all__ = ["PUBLISHED_TEXT_LIMIT", "Predictions", "PrintedTrial", "TrialPredictions", "read_predictions"]

PUBLISHED_TEXT_LIMIT = 1000
"""The published files hold the first 1,000 characters of a completion and no more; what was read from the rest of one is in
their ``pred`` alone."""

Shape = Literal["run", "jsonl", "csv", "published"]
_SHOWN = 5
_ROW_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PrintedTrial:
    """What a published file says of one trial; None where it does not."""

    trial: int
    accuracy: float
    n: int | None = None
    correct: int | None = None
    parseable: int | None = None


@dataclass(frozen=True, slots=True)
class TrialPredictions:
    """One trial: a completion for every sample, in the samples' order; a sample without a prediction has a failed one.

    Attributes:
        missing: samples without a prediction.
        cut: ids of samples whose text is stored cut off (see `PUBLISHED_TEXT_LIMIT`).
        printed_answers: by sample id, the answers that the file's authors read, in their spelling; empty if it has none.
    """

    trial: int
    completions: Sequence[Completion]
    missing: int = 0
    cut: frozenset[str] = frozenset()
    printed_answers: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Predictions:
    """A file's or a run's predictions for one task.

    Attributes:
        trials: those with items, in order.
        printed: the scores that the file states, of trials without items too.
    """

    path: Path
    shape: Shape
    trials: Sequence[TrialPredictions]
    printed: Sequence[PrintedTrial] = ()


def read_predictions(path: str | os.PathLike[str], loaded_task: LoadedTask) -> Predictions:
    """Read the predictions for a task from a run folder or a file (plain, gzip, xz, bzip2 or zstd).

    A file is JSON Lines, a JSON array or a table (CSV, TSV) with ``id`` and ``completion`` and, where there are several,
    ``trial`` (from 0) and ``finish_reason``; or a document as the authors of CyberSecQwen-4B publish, with items in
    ``subsets.TASK.trials[].predictions[]``. An ``id`` is a sample's id, the row's number from 0, the item's URL or its CVE ID.
    Samples without a prediction, and predictions without text, become failed completions.

    Raises:
        InputError: the file cannot be read or has no predictions for the task; an id is unknown, stands for several samples or
            comes twice in a trial; a published row is about another item than the task's. Names file, row and fix.
    """
    source = Path(path)
    if source.is_dir():
        source = source / "completions.jsonl"
        if not source.is_file():
            raise InputError(f"{path}: no completions.jsonl in this folder", fix="name a run folder or a file of predictions")
    content = read_prediction_file(source)
    if isinstance(content, dict):
        return _published(source, content, loaded_task)
    if content.shape == "run":
        return _run(source, content.rows, loaded_task)
    trials = _given(source, content.rows, loaded_task)
    return Predictions(source, content.shape, trials)


class _SampleIndex:
    """Finds the sample that an id means, and tells which ids it could not find."""

    def __init__(self, path: Path, loaded_task: LoadedTask) -> None:
        self.path = path
        self.task = loaded_task.task.name
        self._by_key: dict[str, Sample] = {}
        self._ambiguous: set[str] = set()
        self._unknown: list[str] = []
        for sample in loaded_task.samples:
            for key in dict.fromkeys((sample.id, *_other_keys(sample))):
                if key in self._by_key and key != sample.id:
                    self._ambiguous.add(key)
                else:
                    self._by_key[key] = sample

    def find(self, given: str, place: str) -> Sample | None:
        """Return the sample that `given` means; None, and remember it, if there is none.

        Raises:
            InputError: several samples share it.
        """
        key = given.strip()
        if key not in self._by_key:
            key = str(int(key)) if _ROW_NUMBER.fullmatch(key) else parse_cve_id(key) or key
        if key in self._ambiguous:
            raise InputError(
                f"{self.path}: {place}: several samples of {self.task} share the id {given!r}",
                fix="give the row number from 0, or the sample's id, as id",
            )
        sample = self._by_key.get(key)
        if sample is None:
            self._unknown.append(f"{given!r} ({place})")
        return sample

    def check(self) -> None:
        """Raise the error about unknown ids if there were any."""
        if not self._unknown:
            return
        known = next(iter(self._by_key), "")
        more = f" and {len(self._unknown) - _SHOWN:,} more" if len(self._unknown) > _SHOWN else ""
        raise InputError(
            f"{self.path}: {len(self._unknown):,} ids are no samples of {self.task}: {', '.join(self._unknown[:_SHOWN])}{more}",
            fix=f"give a sample's id (such as {known}), its row number from 0, its URL or its CVE ID; or name another --task",
        )


def _other_keys(sample: Sample) -> Iterable[str]:
    name = sample.id.rpartition("/")[2]
    yield str(int(name)) if _ROW_NUMBER.fullmatch(name) else name
    if sample.source:
        yield sample.source.strip()
    if cve_id := find_cve_id(sample.source):
        yield cve_id


def _given(path: Path, rows: Sequence[PredictionRow], loaded_task: LoadedTask) -> list[TrialPredictions]:
    index = _SampleIndex(path, loaded_task)
    by_trial: dict[int, dict[str, Completion]] = {}
    places: dict[tuple[int, str], str] = {}
    for row in rows:
        sample = index.find(row.id, row.place)
        if sample is None:
            continue
        key = (row.trial, sample.id)
        if key in places:
            raise InputError(
                f"{path}: {row.place}: {row.id!r} was predicted already at {places[key]}",
                fix="keep one prediction for each item, or number repeated ones in a field trial, from 0",
            )
        places[key] = row.place
        by_trial.setdefault(row.trial, {})[sample.id] = _completion(loaded_task, sample, row.trial, row.text, row.finish_reason)
    index.check()
    return [_trial(path, trial, by_trial[trial], loaded_task) for trial in sorted(by_trial)]


def _completion(loaded_task: LoadedTask, sample: Sample, trial: int, text: str, finish_reason: str = "stop") -> Completion:
    error = None
    if finish_reason == "error" or not text.strip():
        finish_reason = "error"
        error = {"kind": "empty", "message": "the prediction has no text", "status": None}
    return Completion(loaded_task.task.name, sample.id, trial, text, finish_reason, error=error)


def _trial(
    path: Path,
    trial: int,
    given: Mapping[str, Completion],
    loaded_task: LoadedTask,
    cut: frozenset[str] = frozenset(),
    printed: Mapping[str, str | None] | None = None,
) -> TrialPredictions:
    completions = [given.get(sample.id) or _missing(path, sample, trial, loaded_task) for sample in loaded_task.samples]
    return TrialPredictions(trial, completions, len(completions) - len(given), cut, printed or {})


def _missing(path: Path, sample: Sample, trial: int, loaded_task: LoadedTask, permutation: int = 0) -> Completion:
    error = {"kind": "missing", "message": f"no prediction in {path.name}", "status": None}
    return Completion(loaded_task.task.name, sample.id, trial, "", "error", permutation=permutation, error=error)


def _run(path: Path, rows: Sequence[PredictionRow], loaded_task: LoadedTask) -> Predictions:
    """Take the completions of a run; of an item asked again after a failure the last one counts, as in a resumed run."""
    index = _SampleIndex(path, loaded_task)
    found: dict[tuple[int, int], dict[str, Completion]] = {}
    for row in rows:
        completion = row.completion
        assert completion is not None
        if completion.task != loaded_task.task.name or (sample := index.find(completion.sample_id, row.place)) is None:
            continue
        group = found.setdefault((completion.trial, completion.permutation), {})
        earlier = group.get(sample.id)
        if earlier is not None and earlier.error is None and earlier.finish_reason != "error":
            raise InputError(
                f"{path}: {row.place}: {sample.id} of trial {completion.trial} was answered on an earlier line",
                fix="remove one of the two lines",
            )
        group[sample.id] = completion
    index.check()
    if not found:
        raise _nothing(path, loaded_task, sorted({row.completion.task for row in rows if row.completion}))
    trials = []
    for trial in sorted({trial for trial, _ in found}):
        turns = sorted(turn for other, turn in found if other == trial)
        completions = [
            found[trial, turn].get(sample.id) or _missing(path, sample, trial, loaded_task, turn)
            for sample in loaded_task.samples
            for turn in turns
        ]
        missing = len(completions) - sum(len(found[trial, turn]) for turn in turns)
        trials.append(TrialPredictions(trial, completions, missing))
    return Predictions(path, "run", trials)


def _nothing(path: Path, loaded_task: LoadedTask, has: Sequence[str]) -> InputError:
    return InputError(
        f"{path}: no predictions for {loaded_task.task.name}; it has {', '.join(has) or 'none at all'}",
        fix=f"choose --task {has[0]}" if has else "name a file with predictions",
    )


def _published(path: Path, document: Mapping[str, Any], loaded_task: LoadedTask) -> Predictions:
    subsets = document["subsets"]
    name = loaded_task.task.name
    subset = subsets.get(name) if isinstance(subsets, dict) else None
    if not isinstance(subset, dict) or not isinstance(subset.get("trials"), list):
        raise _nothing(path, loaded_task, sorted(subsets) if isinstance(subsets, dict) else [])
    printed = []
    trials = []
    for trial, data in enumerate(subset["trials"]):
        if not isinstance(data, dict):
            raise InputError(
                f"{path}: subsets.{name}.trials[{trial}] is not an object", fix="take the file as it was published"
            )
        if isinstance(accuracy := data.get("accuracy_total"), int | float):
            printed.append(PrintedTrial(trial, accuracy, *(_count(data, key) for key in ("n", "correct", "parseable"))))
        if data.get("predictions"):
            trials.append(_published_trial(path, trial, data["predictions"], loaded_task))
    if not trials:
        raise InputError(
            f"{path}: no trial of {name} has predictions, only scores",
            fix="take a file whose subsets.TASK.trials[].predictions[] are filled",
        )
    return Predictions(path, "published", trials, printed)


def _count(data: Mapping[str, Any], key: str) -> int | None:
    value = data.get(key)
    return value if type(value) is int else None


def _published_trial(path: Path, trial: int, items: Any, loaded_task: LoadedTask) -> TrialPredictions:
    index = _SampleIndex(path, loaded_task)
    given: dict[str, Completion] = {}
    printed: dict[str, str | None] = {}
    cut: set[str] = set()
    for number, item in enumerate(items if isinstance(items, list) else [items]):
        place = f"subsets.{loaded_task.task.name}.trials[{trial}].predictions[{number}]"
        if not isinstance(item, dict) or not isinstance(text := item.get("pred_raw"), str | None):
            raise InputError(f"{path}: {place} is not an object with idx and pred_raw", fix="take the file as it was published")
        given_id = item.get("idx", item.get("url"))
        sample = index.find(str(given_id), place)
        if sample is None:
            continue
        if sample.id in given:
            raise InputError(f"{path}: {place}: {given_id!r} comes twice", fix="keep one prediction for each item")
        url = item.get("url")
        if url and sample.source and url != sample.source:
            raise InputError(
                f"{path}: {place} is about {url}, but row {given_id} of {loaded_task.path} is {sample.source}",
                fix="score it with the version of the dataset that it was made from",
            )
        text = text or ""
        is_cut = len(text) >= PUBLISHED_TEXT_LIMIT
        given[sample.id] = _completion(loaded_task, sample, trial, text, "length" if is_cut else "stop")
        if is_cut:
            cut.add(sample.id)
        if "pred" in item:
            printed[sample.id] = None if item["pred"] is None else str(item["pred"])
    index.check()
    return _trial(path, trial, given, loaded_task, frozenset(cut), printed)
