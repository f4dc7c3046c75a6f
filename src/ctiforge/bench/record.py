"""From kept completions to scores and the record: the same completions give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from ctiforge import __version__
from ctiforge.bench.completion import Completion, ScoredItem
from ctiforge.bench.extract import rules_for
from ctiforge.bench.protocol import Protocol
from ctiforge.bench.records import RECORD_FORMAT
from ctiforge.bench.run_folder import ItemKey
from ctiforge.bench.score import score_completion
from ctiforge.bench.summary import sensitivity_table, summarise_task, valid_trials
from ctiforge.bench.task import LoadedTask, Sample
from ctiforge.core.files import atomic_writer, write_json
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.models.generation import ModelInfo

__all__ = ["ScoredTask", "build_record", "rotations", "score_run", "write_results"]

_PACKAGES = ("cvss", "httpx", "numpy", "scipy", "torch", "transformers", "xllamacpp")


@dataclass(frozen=True, slots=True)
class ScoredTask:
    """A task with the completions of a run and their scores under the protocol's rule, both in the order of asking."""

    loaded: LoadedTask
    rule: str
    completions: Sequence[Completion]
    items: Sequence[ScoredItem]


def rotations(protocol: Protocol, sample: Sample) -> int:
    """Return how often an item is asked in each trial: once, or once for each rotation of its options."""
    return len(sample.choices) if protocol.permute == "cyclic" and sample.choices else 1


def score_run(tasks: Sequence[LoadedTask], protocol: Protocol, completions: Mapping[ItemKey, Completion]) -> list[ScoredTask]:
    """Score what a run kept, under the protocol's rules."""
    scored = []
    for loaded in tasks:
        rule = protocol.rule_for(loaded.task.answer_kind, loaded.task.default_rule)
        keys = [
            (loaded.task.name, sample.id, trial, permutation)
            for trial in range(protocol.trials)
            for sample in loaded.samples
            for permutation in range(rotations(protocol, sample))
        ]
        found = [completions[key] for key in keys if key in completions]
        scored.append(ScoredTask(loaded, rule, found, _score(found, loaded, rule)))
    return scored


def _score(completions: Sequence[Completion], loaded: LoadedTask, rule: str) -> list[ScoredItem]:
    samples = {sample.id: sample for sample in loaded.samples}
    return [score_completion(each, samples[each.sample_id], loaded.task, rule) for each in completions]


def build_record(
    info: ModelInfo,
    tasks: Sequence[LoadedTask],
    protocol: Protocol,
    results: Sequence[ScoredTask],
    flagged: AbstractSet[str] | None = None,
) -> dict[str, Any]:
    """Return the record of a run, JSON values only, without times: a resumed run has the same as an uninterrupted one."""
    parts = [_task_result(result, protocol, flagged) for result in results]
    return {
        "format": RECORD_FORMAT,
        "model": asdict(info),
        "protocol": {
            "name": protocol.name,
            "version": protocol.version,
            "digest": protocol.digest,
            "custom": protocol.custom,
            "settings": protocol.settings,
        },
        "tasks": parts,
        "complete": all(trial["valid"] for part in parts for trial in part["trials"]),
        "environment": {
            "ctiforge": __version__,
            "git_revision": git_revision(),
            "packages": package_versions(_PACKAGES),
        },
    }


def _task_result(result: ScoredTask, protocol: Protocol, flagged: AbstractSet[str] | None) -> dict[str, Any]:
    kind = result.loaded.task.answer_kind
    seeds = {trial: protocol.request_seed("", trial) for trial in range(protocol.trials)}
    permuted = protocol.permute == "cyclic"
    # One rule reads what has nothing to be read: a ranking or log-probabilities.
    free_text = any(not each.ranked and each.choice_logprobs is None and each.text for each in result.completions)
    sensitivity = (
        sensitivity_table(
            lambda rule: _score(result.completions, result.loaded, rule),
            [rule.name for rule in rules_for(kind)],
            result.rule,
            trials=valid_trials(result.loaded, seeds, result.items, permuted=permuted),
        )
        if free_text
        else []
    )
    return summarise_task(
        result.loaded, seeds, result.items, rule=result.rule, sensitivity=sensitivity, flagged=flagged, permuted=permuted
    )


def write_results(folder: Path, record: Mapping[str, Any], results: Sequence[ScoredTask]) -> None:
    """Write ``scores.jsonl`` and ``record.json``, each whole or not at all."""
    with atomic_writer(folder / "scores.jsonl") as stream:
        for result in results:
            for item in result.items:
                stream.write(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE))
    write_json(folder / "record.json", record)
