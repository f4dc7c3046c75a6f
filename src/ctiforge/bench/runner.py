"""Asking: every item of every trial once, many at a time, each answer kept as it arrives; then scoring what was kept."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import orjson

from ctiforge.bench.completion import Completion, ScoredItem
from ctiforge.bench.prompt import build_request
from ctiforge.bench.protocol import Protocol
from ctiforge.bench.record import build_record, rotations, score_run, write_results
from ctiforge.bench.run_folder import ItemKey, RunFolder
from ctiforge.bench.score import drop_duplicates, score_completion
from ctiforge.bench.task import LoadedTask, Sample
from ctiforge.core.errors import CtiforgeError
from ctiforge.models.generation import Generation, GenerationRequest, ModelInfo, TextModel

__all__ = ["Progress", "RunReport", "prepare_like", "prepare_tasks", "run_benchmark"]

_GIVE_UP_AFTER = 4
"""A run stops asking when this many times its concurrency requests in a row could not be delivered: nobody answers."""


class Progress(Interface):
    """What a run tells whoever watches."""

    def begin(self, task: str, trial: int, total: int) -> None:
        """A trial of `total` items begins; those kept by an earlier start come first, at once."""

    def advance(self, item: ScoredItem) -> None:
        """One more answer came and was scored."""

    def end(self) -> None:
        """The trial is over."""


class _Silent:
    def begin(self, task: str, trial: int, total: int) -> None: ...
    def advance(self, item: ScoredItem) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run made.

    Attributes:
        asked: requests of this start; `kept`: answers that an earlier start had kept.
        failures: items without an answer by kind of error; the same command asks for them again.
        stopped: True if the run gave up early because nobody answered.
    """

    folder: Path
    record: dict[str, Any]
    asked: int
    kept: int
    failures: dict[str, int]
    stopped: bool

    @property
    def failed(self) -> int:
        """Items without an answer."""
        return sum(self.failures.values())


@dataclass(frozen=True, slots=True)
class _Item:
    loaded: LoadedTask
    sample: Sample
    trial: int
    permutation: int

    @property
    def key(self) -> ItemKey:
        return (self.loaded.task.name, self.sample.id, self.trial, self.permutation)


def prepare_tasks(tasks: Sequence[LoadedTask], protocol: Protocol, limit: int | None = None) -> list[LoadedTask]:
    """Apply to the samples what the protocol says of repeated questions, and a limit; what leaves is counted.

    Args:
        limit: keep this many samples of each task, the first ones.
    """
    prepared = []
    for loaded in tasks:
        samples, left_out = list(loaded.samples), dict(loaded.left_out)
        if protocol.drop_duplicates:
            deduplicated = drop_duplicates(samples)
            samples = list(deduplicated.kept)
            left_out |= {"duplicate": deduplicated.n_dropped}
        if limit is not None and len(samples) > limit:
            left_out |= {"limit": len(samples) - limit}
            samples = samples[:limit]
        prepared.append(replace(loaded, samples=samples, left_out=left_out))
    return prepared


def prepare_like(folder: Path, loaded: LoadedTask) -> LoadedTask:
    """Leave out of the samples what the run in `folder` left out; all stay if there is no run, or it is of another task."""
    try:
        left_out = orjson.loads((folder / "manifest.json").read_bytes())["run"]["tasks"][loaded.task.name]["left_out"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return loaded
    samples = drop_duplicates(loaded.samples).kept if "duplicate" in left_out else list(loaded.samples)
    return replace(loaded, samples=samples[: len(samples) - left_out.get("limit", 0)], left_out=left_out)


async def run_benchmark(
    model: TextModel,
    tasks: Sequence[LoadedTask],
    protocol: Protocol,
    out: str | os.PathLike[str],
    *,
    flagged: frozenset[str] | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Ask, keep, score and write the record; go on where an earlier run of the same settings stopped.

    Args:
        tasks: as `prepare_tasks` returns them.
        out: the run folder.
        flagged: ids of samples that a contamination report flagged.

    Raises:
        InputError: the folder holds another run or cannot be written, or an item cannot be asked under the protocol.
        ModelError: the model cannot be reached or loaded.
    """
    info = await model.info()
    with RunFolder(out, _identity(info, tasks, protocol)) as folder:
        asking = _Asking(model, protocol, folder, progress or _Silent())
        kept, started = len(folder.done), time.monotonic()
        for loaded in tasks:
            for trial in range(protocol.trials):
                if not asking.stopped:
                    await asking.run_trial(list(_items(loaded, trial, protocol)))
        results = score_run(tasks, protocol, {**folder.failed, **folder.done})
        record = build_record(info, tasks, protocol, results, flagged)
        write_results(folder.folder, record, results)
        timing = {"seconds": round(time.monotonic() - started, 3), "asked": asking.asked, "kept": kept}
        folder.note_end(timing)
        failures = Counter(str((each.error or {}).get("kind")) for each in folder.failed.values())
        return RunReport(folder.folder, record, asking.asked, kept, dict(failures), asking.stopped)


def _identity(info: ModelInfo, tasks: Sequence[LoadedTask], protocol: Protocol) -> dict[str, Any]:
    return {
        "model": asdict(info),
        "protocol": {"name": protocol.name, "digest": protocol.digest},
        "tasks": {
            loaded.task.name: {
                "sha256": loaded.sha256,
                "inputs": dict(loaded.inputs),
                "n": len(loaded.samples),
                "left_out": dict(loaded.left_out),
            }
            for loaded in tasks
        },
    }


def _items(loaded: LoadedTask, trial: int, protocol: Protocol) -> Iterator[_Item]:
    for sample in loaded.samples:
        for permutation in range(rotations(protocol, sample)):
            yield _Item(loaded, sample, trial, permutation)


class _Asking:
    """The requests of one start: as many in flight as the protocol says, each answer kept before the next is asked for."""

    def __init__(self, model: TextModel, protocol: Protocol, folder: RunFolder, progress: Progress) -> None:
        self.asked = 0
        self.stopped = False
        self._model = model
        self._protocol = protocol
        self._folder = folder
        self._progress = progress
        self._undelivered = 0

    async def run_trial(self, items: Sequence[_Item]) -> None:
        """Ask what is not kept yet of one trial."""
        open_items = [item for item in items if item.key not in self._folder.done]
        loaded = items[0].loaded if items else None
        if loaded is None:
            return
        rule = self._protocol.rule_for(loaded.task.answer_kind, loaded.task.default_rule)
        done = [self._folder.done[item.key] for item in items if item.key in self._folder.done]
        self._progress.begin(loaded.task.name, items[0].trial, len(items))
        samples = {sample.id: sample for sample in loaded.samples}
        for completion in done:
            self._progress.advance(score_completion(completion, samples[completion.sample_id], loaded.task, rule))
        queue = iter(open_items)

        async def work() -> None:
            for item in queue:
                if self.stopped:
                    return
                completion = await self._ask(item)
                self._progress.advance(score_completion(completion, item.sample, loaded.task, rule))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._protocol.concurrency, len(open_items))):
                    group.create_task(work())
        except* CtiforgeError as errors:
            raise _first(errors) from None
        finally:
            self._progress.end()

    async def _ask(self, item: _Item) -> Completion:
        request = build_request(self._protocol, item.loaded, item.sample, item.trial, item.permutation)
        begun = time.monotonic()
        self.asked += 1
        generation = await self._model.generate(request)
        completion = _completion(item, request, generation, time.monotonic() - begun)
        self._folder.append(completion)
        lost = generation.error is not None and generation.error.kind in ("connection", "timeout")
        self._undelivered = self._undelivered + 1 if lost else 0
        if self._undelivered >= _GIVE_UP_AFTER * self._protocol.concurrency:
            self.stopped = True
        return completion


def _first(errors: BaseExceptionGroup[CtiforgeError]) -> CtiforgeError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _completion(item: _Item, request: GenerationRequest, generation: Generation, seconds: float) -> Completion:
    return Completion(
        task=item.loaded.task.name,
        sample_id=item.sample.id,
        trial=item.trial,
        text=generation.text,
        finish_reason=generation.finish_reason,
        seed=request.seed,
        permutation=item.permutation,
        attempts=generation.attempts,
        prompt_tokens=generation.prompt_tokens,
        completion_tokens=generation.completion_tokens,
        seconds=round(seconds, 4),
        error=asdict(generation.error) if generation.error else None,
        ranked=generation.ranked,
        choice_logprobs=dict(generation.choice_logprobs) if generation.choice_logprobs else None,
        confidence=generation.confidence,
    )
