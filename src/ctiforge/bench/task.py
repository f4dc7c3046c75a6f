"""What a benchmark task is: samples read from a file, how an answer is asked for, and how one is judged.

A task is one short file in `ctiforge.bench.tasks`; the runner knows none by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["AnswerKind", "Judgement", "LoadedTask", "Sample", "Task"]

AnswerKind = Literal["cwe", "choice", "cvss_vector", "technique_set", "actor", "mitigation_set", "text"]
"""What an answer is, and so which extraction rules and metrics apply. ``text``: a user's own task, compared as text."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One item.

    Attributes:
        id: unique in its task and stable between versions of this program (``cti-rcm/0017``: the row from 0).
        input: the dataset's own prompt, to be sent as it is.
        target: the gold answer in normal form (``CWE-79``, ``B``, a CVSS vector, ``T1059,T1071``); empty if the file has none.
        choices: option texts in order (A, B, ...), for multiple choice.
        question: the text that the answer depends on, without instruction and options (a description, a question).
        source: where the item comes from (a URL), empty if unknown.
        metadata: what else the file says, JSON values only.
    """

    id: str
    input: str
    target: str
    choices: tuple[str, ...] = ()
    question: str = ""
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good an answer is.

    Attributes:
        correct: right in the strict sense.
        value: the task's own measure (1 or 0 for accuracy; absolute deviation of the base score for vectors; F1 of the sets).
    """

    correct: bool
    value: float


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of task.

    Attributes:
        name: ``cti-rcm``.
        file: the file's usual name in a data folder.
        default_rule: the extraction rule used unless a protocol or the user names another.
        load: reads the file into samples; raises `InputError` naming file, row and fix.
        judge: compares an extracted answer with the sample; pure.
        shot: renders one sample for few-shot text completion: its question part, up to and with ``Answer:``.
        sha256: pinned digest of the published file, None if it is the user's own.
        url: where `ctiforge bench fetch` finds it, None if nowhere.
    """

    name: str
    description: str
    answer_kind: AnswerKind
    file: str
    licence: str
    default_rule: str
    load: Callable[[Path], list[Sample]]
    judge: Callable[[str, Sample], Judgement]
    shot: Callable[[Sample], str]
    sha256: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A task with its samples.

    Attributes:
        sha256: of the file at `path`.
        left_out: number of samples by the reason why they were left out.
        inputs: SHA-256 of whatever else decides the samples and how they are judged (``gold``, ``aliases``, ``declaration``).
    """

    task: Task
    path: Path
    sha256: str
    samples: Sequence[Sample]
    left_out: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
