"""The tasks, one short module each, and the registry that finds them by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ctiforge.bench.actors import judge_actor, load_aliases
from ctiforge.bench.declared import DeclaredTask, load_declared
from ctiforge.bench.gold import join_gold
from ctiforge.bench.task import LoadedTask, Task
from ctiforge.bench.tasks import (
    athena_ate,
    athena_mcq,
    athena_rcm,
    athena_rms,
    athena_taa,
    athena_vsp,
    cti_ate,
    cti_mcq,
    cti_rcm,
    cti_rcm_2021,
    cti_taa,
    cti_vsp,
)
from ctiforge.core.errors import InputError, SettingError, did_you_mean
from ctiforge.core.files import file_sha256

__all__ = ["TASKS", "find_task", "load_task"]

_MODULES = (
    cti_rcm, cti_rcm_2021, cti_mcq, cti_vsp, cti_ate, cti_taa,
    athena_rcm, athena_mcq, athena_vsp, athena_ate, athena_taa, athena_rms,
)  # fmt: skip

TASKS: Final[Mapping[str, Task]] = MappingProxyType({module.TASK.name: module.TASK for module in _MODULES})
"""Every task that comes with ctiforge, by name."""

_OTHER_FILES: Final[Mapping[str, tuple[str, ...]]] = {athena_mcq.TASK.name: athena_mcq.OTHER_FILES}
_FOLDERS = ("", "ctibench", "cti-bench", "athenabench", "benchmark", "athenabench/benchmark")
"""Where in a data folder a task's file may lie."""

_DECLARATIONS = (".yaml", ".yml")


def find_task(name: str) -> Task:
    """Return the task called `name`, or the one that the user declared in the YAML file of that path.

    Raises:
        SettingError: there is no such task, or a declared one has the name of another.
        InputError: the declaration has faults.
    """
    declared = _declared(name)
    return declared.task if declared else _known(name)


def load_task(name: str, data: Path, *, gold: Path | None = None, aliases: Path | None = None) -> LoadedTask:
    """Return a task with the samples of its file.

    Args:
        name: as `find_task` has it.
        data: the folder with the file (there, or in its ``ctibench``, ``athenabench`` or ``benchmark`` folder), or the file. A
            declared task's file is looked for beside its YAML first.
        gold: CSV with golds for samples that have none (see `ctiforge.bench.gold`).
        aliases: ATT&CK STIX bundle with the aliases of threat actors, for tasks that ask for one.

    Returns:
        The samples in the file's order, duplicates included, and the file's SHA-256, which may differ from the pinned one.

    Raises:
        SettingError: there is no such task, or `aliases` is given for one that does not ask for actors.
        InputError: the file is missing or cannot be read, or `gold` or `aliases` cannot.
    """
    declared = _declared(name)
    task = declared.task if declared else _known(name)
    if aliases is not None:
        if task.answer_kind != "actor":
            raise SettingError(f"{task.name} does not ask for threat actors", fix="leave out the alias table (--aliases)")
        task = replace(task, judge=judge_actor(load_aliases(aliases)))
    path = _find_file(task, data, beside=declared.path if declared else None)
    samples = task.load(path)
    if gold is not None:
        samples = join_gold(samples, task.answer_kind, gold)
    others = {"declaration": Path(name) if declared else None, "gold": gold, "aliases": aliases}
    inputs = {kind: file_sha256(file) for kind, file in others.items() if file is not None}
    return LoadedTask(task, path, file_sha256(path), samples, inputs=inputs)


def _known(name: str) -> Task:
    try:
        return TASKS[name]
    except KeyError:
        hint = did_you_mean(name, TASKS) or f"choose one of {', '.join(TASKS)}; or the path of a .yaml that declares your own"
        raise SettingError(f"no task named {name!r}", fix=hint) from None


def _declared(name: str) -> DeclaredTask | None:
    if not name.lower().endswith(_DECLARATIONS):
        return None
    declared = load_declared(Path(name))
    if declared.task.name in TASKS:
        raise SettingError(f"{name}: {declared.task.name!r} is the name of a task of ctiforge", fix="give yours another name")
    return declared


def _find_file(task: Task, data: Path, beside: Path | None) -> Path:
    if data.is_file():
        return data
    if beside is not None and beside.is_file():
        return beside
    names = (task.file, *_OTHER_FILES.get(task.name, ()))
    for folder in _FOLDERS:
        for name in names:
            if (path := data / folder / name).is_file():
                return path
    missing = f"no such folder: {data}" if not data.exists() else f"no {task.file} in {data}"
    fetch = f"fetch it (ctiforge bench fetch {task.name} --out {data}), or " if task.url else ""
    raise InputError(f"{task.name}: {missing}", fix=f"{fetch}name the folder or file that has it: --data PATH")
