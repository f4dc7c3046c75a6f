"""A user's own task: a JSON Lines, CSV or TSV file, and a YAML file that says how to ask and how to judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from ctiforge.bench.declaration import MOST_CHOICES, Declaration, JudgeName, read_declaration
from ctiforge.bench.prompt_template import PromptTemplate, render_options
from ctiforge.bench.task import Sample, Task
from ctiforge.bench.task_judges import KIND_JUDGES, Judge, judge_casefold, judge_exact, judge_set
from ctiforge.bench.task_rows import Row, read_rows
from ctiforge.bench.task_targets import target_of

__all__ = ["DeclaredTask", "load_declared"]

_JUDGES: Final[Mapping[JudgeName, Judge]] = {"exact": judge_exact, "set": judge_set, "casefold": judge_casefold}
_ANSWER = "Answer:"


@dataclass(frozen=True, slots=True)
class DeclaredTask:
    """A task and the file that its declaration names, which need not exist."""

    task: Task
    path: Path


def load_declared(path: Path) -> DeclaredTask:
    """Read the task that the YAML file at `path` declares; docs/benchmark-tasks.md has its settings.

    Raises:
        InputError: the declaration cannot be read or has faults, all of which are in the message.
        MissingExtraError: PyYAML is not installed.
    """
    declaration = read_declaration(path)
    task = Task(
        name=declaration.name,
        description=declaration.description,
        answer_kind=declaration.answer_kind,
        file=declaration.file,
        licence=declaration.licence,
        default_rule=declaration.default_rule,
        load=partial(_load, declaration),
        judge=_JUDGES[declaration.judge] if declaration.judge else KIND_JUDGES[declaration.answer_kind],
        shot=partial(_shot, declaration),
        sha256=declaration.sha256,
    )
    return DeclaredTask(task, path.parent / declaration.file)


def _load(declaration: Declaration, path: Path) -> list[Sample]:
    samples: list[Sample] = []
    first_row: dict[str, int] = {}
    for row in read_rows(path, declaration.format, _columns(declaration)):
        sample = _sample(declaration, row)
        if (before := first_row.setdefault(sample.id, row.number)) != row.number:
            raise row.fault(f"{declaration.id!r} is that of row {before} too: {sample.id!r}", "give each row its own")
        samples.append(sample)
    return samples


def _columns(declaration: Declaration) -> list[str]:
    templates = [template for template in (declaration.prompt, declaration.shot) if template]
    named = [field for template in templates for field in template.fields if not _is_options(declaration, field)]
    single = [declaration.target, declaration.id, declaration.question, declaration.source]
    return list(dict.fromkeys([*named, *declaration.choices, *filter(None, single)]))


def _is_options(declaration: Declaration, field: str) -> bool:
    """Whether a field of a template stands for all options rather than for a column."""
    return field == "choices" and bool(declaration.choices)


def _sample(declaration: Declaration, row: Row) -> Sample:
    choices = _choices(declaration, row)
    if not any(row.value(field) for field in declaration.prompt.fields if not _is_options(declaration, field)):
        raise row.fault("every column of the prompt is empty")
    prompt = _render(declaration, declaration.prompt, row.optional, choices)
    number = row.text(declaration.id).strip() if declaration.id else f"{row.number:04d}"
    return Sample(
        id=f"{declaration.name}/{number}",
        input=prompt,
        target=target_of(row, declaration.answer_kind, declaration.target, choices=len(choices), needed=False),
        choices=choices,
        question=row.text(declaration.question).strip() if declaration.question else prompt,
        source=row.optional(declaration.source) if declaration.source else "",
        metadata={"cells": _cells(declaration, row)},
    )


def _cells(declaration: Declaration, row: Row) -> dict[str, str]:
    """Return what a shot needs of a row besides its options, which may be shown in another order."""
    fields = declaration.shot.fields if declaration.shot else ()
    named = [field for field in fields if not _is_options(declaration, field) and field not in declaration.choices]
    return {field: row.optional(field) for field in named}


def _render(declaration: Declaration, template: PromptTemplate, cell: Callable[[str], str], choices: tuple[str, ...]) -> str:
    def text_of(field: str) -> str:
        if _is_options(declaration, field) or (declaration.choices_in_one and field in declaration.choices):
            return render_options(choices)
        if field in declaration.choices:
            return choices[declaration.choices.index(field)]
        return cell(field)

    return template.render(text_of)


def _choices(declaration: Declaration, row: Row) -> tuple[str, ...]:
    if not declaration.choices_in_one:
        return tuple(row.optional(column).strip() for column in declaration.choices)
    column = declaration.choices[0]
    given: Any = row.value(column)
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            raise row.fault(f"{column!r} is text, where a JSON list of options is needed") from None
    if not isinstance(given, list) or not 2 <= len(given) <= MOST_CHOICES or not all(isinstance(each, str) for each in given):
        raise row.fault(f"{column!r} must be a list of 2 to {MOST_CHOICES} texts")
    return tuple(each.strip() for each in given)


def _shot(declaration: Declaration, sample: Sample) -> str:
    """Return the declared shot, else the prompt, up to and with ``Answer:``."""
    text = sample.input
    if declaration.shot:
        text = _render(declaration, declaration.shot, sample.metadata["cells"].__getitem__, sample.choices)
    text = text.rstrip()
    return text if text.endswith(_ANSWER) else f"{text}\n{_ANSWER}"
