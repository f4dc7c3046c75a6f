"""Invented tasks, and a model whose answers follow from the item and the seed. Read with `runpy.run_path`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ctiforge.bench.task import Judgement, LoadedTask, Sample, Task
from ctiforge.models.generation import Generation, GenerationError, GenerationRequest, ModelInfo

CHOICES = ("Audit the logs", "None", "Segment the network", "All of the above")


def judge(answer: str, sample: Sample) -> Judgement:
    return Judgement(answer == sample.target, float(answer == sample.target))


def task(name: str, kind: str, rule: str) -> Task:
    return Task(
        name=name,
        description="Invented.",
        answer_kind=kind,  # type: ignore[arg-type]
        file=f"{name}.tsv",
        licence="CC0-1.0",
        default_rule=rule,
        load=lambda path: [],
        judge=judge,
        shot=lambda sample: f"Question: {sample.question}\nAnswer:",
    )


def rcm(n: int = 20) -> LoadedTask:
    samples = [
        Sample(f"toy-rcm/{i:04}", f"Map: flaw {i}. Last line: the ID.", ("CWE-79", "CWE-89")[i % 2], question=f"flaw {i}")
        for i in range(n)
    ]
    return LoadedTask(task("toy-rcm", "cwe", "last-cwe"), Path("toy-rcm.tsv"), "1" * 64, samples)


def mcq(n: int = 12) -> LoadedTask:
    options = " ".join(f"{letter}) {text}" for letter, text in zip("ABCD", CHOICES, strict=True))
    samples = [
        Sample(f"toy-mcq/{i:04}", f"Q: Which helps {i}? {options} One letter.", "ABCD"[i % 4], CHOICES, f"Which helps {i}?")
        for i in range(n)
    ]
    return LoadedTask(task("toy-mcq", "choice", "cascade"), Path("toy-mcq.tsv"), "2" * 64, samples)


class ToyModel:
    """Answers by seed and keeps count of what it was asked.

    Args:
        answer: from the request to a completion; by default right on two seeds of three.
        pause: seconds that each answer takes.
    """

    def __init__(self, answer: Callable[[GenerationRequest], Generation] | None = None, pause: float = 0.0) -> None:
        self.asked: Counter[tuple[str, int | None]] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self._answer = answer or self._by_seed
        self._pause = pause

    async def info(self) -> ModelInfo:
        return ModelInfo("toy", "scripted", digest="f" * 64, settings={"temper": "mild"})

    async def generate(self, request: GenerationRequest) -> Generation:
        self.asked[request.metadata["sample_id"], request.seed] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(self._pause)
        self.in_flight -= 1
        return self._answer(request)

    async def close(self) -> None: ...

    @staticmethod
    def _by_seed(request: GenerationRequest) -> Generation:
        number = int(request.metadata["sample_id"][-4:])
        assert request.seed is not None
        answers = ("ABCD"[number % 4], "Z") if request.metadata["choices"] else (("CWE-79", "CWE-89")[number % 2], "CWE-20")
        return Generation(f"Because.\n{answers[request.seed % 3 == 0]}", "stop", prompt_tokens=7, completion_tokens=3)


def failing(kind: str) -> Generation:
    return Generation("", "error", attempts=4, error=GenerationError(kind, f"an invented {kind} fault"))  # type: ignore[arg-type]
