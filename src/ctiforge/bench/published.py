"""Figures that others have published: read from ``published.yaml``, every fault of the file found at once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal, cast

from ctiforge.core.errors import InputError, MissingExtraError, did_you_mean

__all__ = ["METRICS", "PublishedScore", "load_published"]

ReportedBy = Literal["self", "re-run"]

METRICS: Final = {
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "plausible_accuracy": "plausible accuracy",
    "cvss_score": "CVSS score (1 - MAD / 10)",
    "vsp_score": "VSP score",
    "mean_absolute_deviation": "mean absolute deviation",
}
"""Names of the metrics for people, in the order in which a leaderboard shows them."""

_FORMAT: Final = "ctiforge-published/1"
_SHARED: Final = ("reported_by", "protocol", "trials", "where", "n", "metrics", "note")
_SOURCE_KEYS: Final = {"id", "citation", "url", "models", *_SHARED}
_MODEL_KEYS: Final = {"model", "size", "scores", *_SHARED}


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One figure, of one model on one task, as its source prints it.

    Attributes:
        size: parameters, e.g. ``8B``; None where undisclosed.
        metric: a key of `METRICS`; all but ``mean_absolute_deviation`` (CVSS points) are 0 to 1.
        std: standard deviation over trials, None if the source gives none.
        n: items, None for the whole file.
        reported_by: ``self`` if the makers of the model published it, ``re-run`` if others did.
        where: table, figure or file of the source.
        note: what a reader must know of it, empty if nothing.
    """

    model: str
    size: str | None
    task: str
    metric: str
    value: float
    std: float | None
    trials: int | None
    n: int | None
    protocol: str
    reported_by: ReportedBy
    citation: str
    url: str
    where: str
    note: str = ""


def load_published(path: str | os.PathLike[str] | None = None) -> tuple[PublishedScore, ...]:
    """Return the published figures of a file; of the one that ships with ctiforge if None.

    Raises:
        InputError: it cannot be read; all that is wrong with it is in the message.
        MissingExtraError: PyYAML is not installed.
    """
    file = Path(path) if path is not None else Path(str(resources.files("ctiforge.bench") / "published.yaml"))
    data = _read_yaml(file)
    faults: list[str] = []
    if not isinstance(data, dict) or data.get("format") != _FORMAT or not isinstance(data.get("sources"), list):
        raise InputError(
            f"{file}: not a file of published figures (format {_FORMAT!r} and a list 'sources')", fix="see its head"
        )
    scores = [score for source in data["sources"] for score in _source(source, faults)]
    ids = Counter(str(source.get("id")) for source in data["sources"] if isinstance(source, dict))
    faults += [f"source {name!r}: given {count} times" for name, count in ids.items() if count > 1]
    seen = Counter((score.model, score.task, score.metric, score.citation, score.where, score.protocol) for score in scores)
    faults += [
        f"{model} on {task}: given {count} times by one source" for (model, task, *_), count in seen.items() if count > 1
    ]
    if faults:
        raise InputError(f"{file}: {len(faults)} faults:\n  " + "\n  ".join(faults), fix="correct the file")
    return tuple(scores)


def _read_yaml(file: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise MissingExtraError("PyYAML", "bench") from None

    class Loader(yaml.SafeLoader):
        """A key given twice is a fault, not the last of the two."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = Counter(str(key.value) for key, _ in node.value)
            if twice := [key for key, count in keys.items() if count > 1]:
                raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} given twice", node.start_mark)
            return super().construct_mapping(node, deep=deep)

    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}", fix="check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}", fix="correct the file") from None


def _source(source: Any, faults: list[str]) -> list[PublishedScore]:
    if not isinstance(source, dict):
        faults.append(f"a source is {type(source).__name__}, not a mapping")
        return []
    name = f"source {source.get('id')!r}"
    _check_keys(source, _SOURCE_KEYS, name, faults)
    faults += [f"{name}: {key} is missing" for key in ("id", "citation", "url") if not _is_text(source.get(key))]
    if _is_text(source.get("url")) and not source["url"].startswith("https://"):
        faults.append(f"{name}: url does not begin with https://")
    models = source.get("models")
    if not isinstance(models, list) or not models:
        faults.append(f"{name}: no models")
        return []
    return [score for model in models for score in _model(source, model, name, faults)]


def _model(source: Mapping[str, Any], model: Any, name: str, faults: list[str]) -> list[PublishedScore]:
    if not isinstance(model, dict) or not _is_text(model.get("model")):
        faults.append(f"{name}: a model without a name")
        return []
    where = f"{name}, {model['model']}"
    _check_keys(model, _MODEL_KEYS, where, faults)
    if "size" not in model or not (model["size"] is None or _is_text(model["size"])):
        faults.append(f"{where}: size is missing or no text (null where undisclosed)")
    shared = {key: model[key] if key in model else source.get(key) for key in _SHARED}  # a null takes the source's value away
    if shared["reported_by"] not in ("self", "re-run"):
        faults.append(f"{where}: reported_by is {shared['reported_by']!r}, not self or re-run")
    faults += [f"{where}: {key} is missing" for key in ("protocol", "where") if not _is_text(shared[key])]
    for key in ("metrics", "n"):
        if shared[key] is not None and not isinstance(shared[key], dict):
            faults.append(f"{where}: {key} is not a mapping by task")
            shared[key] = None
    if shared["trials"] is not None and not _is_count(shared["trials"]):
        faults.append(f"{where}: trials is {shared['trials']!r}")
    scores = model.get("scores")
    if not isinstance(scores, dict) or not scores:
        faults.append(f"{where}: no scores")
        return []
    found = [_score(source, model, shared, task, score, where, faults) for task, score in scores.items()]
    return [score for score in found if score is not None]


def _score(
    source: Mapping[str, Any],
    model: Mapping[str, Any],
    shared: Mapping[str, Any],
    task: str,
    score: Any,
    where: str,
    faults: list[str],
) -> PublishedScore | None:
    before = len(faults)
    where = f"{where}, {task}"
    if not _is_text(task):
        faults.append(f"{where}: a task's name is text")
    parts = score if isinstance(score, dict) else {"value": score}
    _check_keys(parts, {"value", "std"}, where, faults)
    metric = (shared["metrics"] or {}).get(task, "accuracy")
    if not isinstance(metric, str) or metric not in METRICS:
        faults.append(f"{where}: metric {metric!r}; {did_you_mean(str(metric), METRICS) or 'see the head of the file'}")
    top = 10.0 if metric == "mean_absolute_deviation" else 1.0
    if not _is_number(parts.get("value"), top):
        faults.append(f"{where}: value {parts.get('value')!r} is not a number from 0 to {top:g}")
    if parts.get("std") is not None and not _is_number(parts["std"], top):
        faults.append(f"{where}: std {parts['std']!r} is not a number from 0 to {top:g}")
    n = (shared["n"] or {}).get(task)
    if n is not None and not _is_count(n):
        faults.append(f"{where}: n is {n!r}")
    if len(faults) > before:
        return None
    return PublishedScore(
        model=model["model"],
        size=model.get("size"),
        task=task,
        metric=metric,
        value=float(parts["value"]),
        std=parts.get("std"),
        trials=shared["trials"],
        n=n,
        protocol=str(shared["protocol"]),
        reported_by=cast(ReportedBy, shared["reported_by"]),
        citation=str(source.get("citation")),
        url=str(source.get("url")),
        where=str(shared["where"]),
        note=str(shared["note"] or ""),
    )


def _check_keys(part: Mapping[Any, Any], known: set[str], where: str, faults: list[str]) -> None:
    for key in part:
        if key not in known:
            hint = did_you_mean(str(key), known)
            faults.append(f"{where}: unknown key {str(key)!r}{f'; {hint}' if hint else ''}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: object, top: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= top
