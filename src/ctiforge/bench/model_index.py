"""Export of a record to a Hugging Face ``model-index`` block, for the front matter of a model card.

Source: https://huggingface.co/docs/hub/model-cards and modelcard.md of https://github.com/huggingface/hub-docs: each result has
a ``task`` (``type``, ``name``), a ``dataset`` (``name``, ``type``, ``split``) and ``metrics`` (``type``, ``value``, ``name``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ctiforge.bench.records import Record, check_record
from ctiforge.bench.report.entries import protocol_text
from ctiforge.bench.report.wording import plain
from ctiforge.core.errors import InputError, MissingExtraError

__all__ = ["build_model_index", "render_model_index"]

_TASK_TYPES: Final = {"choice": "multiple-choice", "cwe": "text-classification"}
_OTHER_TASK: Final = "text-generation"
_NAMES: Final = {
    "cti-rcm": "CWE Classification (CTI-RCM)",
    "cti-rcm-2021": "CWE Classification (CTI-RCM-2021)",
    "cti-mcq": "Cyber Threat Intel Multiple Choice (CTI-MCQ)",
    "cti-vsp": "CVSS Vector Prediction (CTI-VSP)",
    "cti-ate": "ATT&CK Technique Extraction (CTI-ATE)",
    "cti-taa": "Threat Actor Attribution (CTI-TAA)",
}
_DATASETS: Final = {
    "cti": ("CTI-Bench", "AI4Sec/cti-bench", "https://huggingface.co/datasets/AI4Sec/cti-bench"),
    "athena": ("AthenaBench", "athenabench", "https://github.com/Athena-Software-Group/athenabench"),
}
_OWN_METRICS: Final = {
    "mean_absolute_deviation": ("mae", "mean absolute deviation of the CVSS base score"),
    "micro_f1": ("f1", "micro-F1"),
    "macro_f1": ("f1", "macro-F1"),
}


def build_model_index(record: Record, model_name: str, *, source_url: str | None = None) -> dict[str, Any]:
    """Return ``{"model-index": [...]}`` with the tasks of `record` that have a valid trial.

    Accuracy is strict (0 to 1), the mean over valid trials, rounded to four decimals; ``verified`` is false, because nobody but
    the one who ran it has vouched for it.

    Args:
        model_name: as the model card calls the model.
        source_url: where the record or the report can be seen; the benchmark's own page if None. A user's own task without one
            has no ``source``, because the hub takes none without an address.

    Raises:
        InputError: the record cannot be read, a trial in it is invalid, or no task has an accuracy.
    """
    record = check_record(record)
    partial = [plain(task["task"], 60) for task in record["tasks"] if not all(trial["valid"] for trial in task["trials"])]
    if partial:
        raise InputError(
            f"the record has invalid trials ({', '.join(partial)}), whose figures must not be published",
            fix="run the same command again to complete them",
        )
    results = [
        _result(record, task, source_url) for task in record["tasks"] if (task["accuracy"] or {}).get("mean") is not None
    ]
    if not results:
        raise InputError("no task of the record has an accuracy", fix="give the record of a completed run")
    return {"model-index": [{"name": model_name, "results": results}]}


def render_model_index(record: Record, model_name: str, *, source_url: str | None = None) -> str:
    """Return `build_model_index` as YAML, to be put between the ``---`` lines of a model card.

    Raises:
        InputError: see `build_model_index`.
        MissingExtraError: PyYAML is not installed.
    """
    block = build_model_index(record, model_name, source_url=source_url)
    try:
        import yaml
    except ModuleNotFoundError:
        raise MissingExtraError("PyYAML", "bench") from None
    text: str = yaml.safe_dump(block, sort_keys=False, allow_unicode=True, width=120)
    return text


def _result(record: Record, task: Mapping[str, Any], source_url: str | None) -> dict[str, Any]:
    name = plain(task["task"], 60)
    dataset, kind, page = _DATASETS.get(name.split("-")[0], (plain(task.get("file") or name, 60), "custom", None))
    trials = task["accuracy"].get("trials") or len(task["trials"])
    # The hub's page shows the name of a metric and little else: a changed setting has to be seen there.
    custom = ", custom settings" if record["protocol"].get("custom") else ""
    accuracy = f"strict accuracy ({'single trial' if trials == 1 else f'{trials}-trial mean'}{custom})"
    result: dict[str, Any] = {
        "task": {"type": _TASK_TYPES.get(task["answer_kind"], _OTHER_TASK), "name": _NAMES.get(name, name)},
        "dataset": {"name": dataset, "type": kind, "split": name},
        "metrics": [_metric("accuracy", accuracy, task["accuracy"]["mean"]), *_own_metrics(task)],
    }
    if url := source_url or page:
        result["source"] = {"name": f"ctiforge, {protocol_text(record)}, rule {plain(task['rule'], 40)}", "url": url}
    return result


def _own_metrics(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    metrics = task["metrics"]
    return [_metric(kind, name, metrics[key]) for key, (kind, name) in _OWN_METRICS.items() if metrics.get(key) is not None]


def _metric(kind: str, name: str, value: float) -> dict[str, Any]:
    return {"type": kind, "value": round(float(value), 4), "name": name, "verified": False}
