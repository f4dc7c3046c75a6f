"""The YAML file that declares a task: read and checked, every fault at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from ctiforge.bench.extract import rules_for
from ctiforge.bench.prompt_template import PromptTemplate, parse_template
from ctiforge.bench.task import AnswerKind
from ctiforge.bench.task_rows import RowFormat
from ctiforge.core.errors import InputError, MissingExtraError, did_you_mean

__all__ = ["MOST_CHOICES", "Declaration", "JudgeName", "read_declaration"]

JudgeName = Literal["exact", "set", "casefold"]

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FORMATS: Final[Mapping[str, RowFormat]] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
MOST_CHOICES: Final = 26

_DEFAULT_RULES: Final[Mapping[AnswerKind, str]] = {
    "cwe": "last-cwe",
    "choice": "cascade",
    "cvss_vector": "last-vector",
    "technique_set": "last-line-ids",
    "mitigation_set": "last-line-ids",
    "actor": "answer-tag",
    "text": "answer-tag",
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """The settings of a declared task.

    Attributes:
        file: as written, relative to the YAML file.
        prompt: what is sent; ``{column}`` stands for a cell, ``{choices}`` for the options, a line each.
        shot: the same for one item of few-shot text completion; None makes it of `prompt`.
        target, id, question, source: columns; empty for none.
        choices: columns of the options, or one column with a list of them.
        judge: None for the usual one of `answer_kind`.
    """

    name: str
    description: str
    licence: str
    file: str
    format: RowFormat
    answer_kind: AnswerKind
    prompt: PromptTemplate
    target: str
    default_rule: str
    shot: PromptTemplate | None = None
    choices: tuple[str, ...] = ()
    choices_in_one: bool = False
    id: str = ""
    question: str = ""
    source: str = ""
    judge: JudgeName | None = None
    sha256: str | None = None


KEYS: Final = (
    "name", "description", "licence", "file", "format", "sha256", "answer_kind", "prompt", "shot", "question", "target",
    "choices", "id", "source", "default_rule", "judge",
)  # fmt: skip
_NEEDED: Final = ("name", "description", "licence", "file", "answer_kind", "prompt", "target")


def read_declaration(path: Path) -> Declaration:
    """Read a declaration.

    Raises:
        InputError: the file cannot be read, is not YAML, or has faults, all of which are in the message.
        MissingExtraError: PyYAML is not installed.
    """
    settings = _read_yaml(path)
    check = _Check(settings)
    declaration = check.declaration()
    if declaration is None:
        faults = "\n".join(f"  {fault}" for fault in check.faults)
        raise InputError(f"{path}: {len(check.faults)} fault(s)\n{faults}", fix="correct these settings")
    return declaration


def _read_yaml(path: Path) -> dict[Any, Any]:
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("PyYAML", "bench") from None
    fix = "copy the example in docs/benchmark-tasks.md"
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", fix="name a file that can be read") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8", fix="save the file as UTF-8") from None
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not YAML: {error}", fix="correct the line named above") from None
    if not isinstance(settings, dict) or not isinstance(node, yaml.MappingNode):
        raise InputError(f"{path}: a task is a mapping of settings", fix=fix)
    keys = [key.value for key, _ in node.value]
    if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
        raise InputError(f"{path}: set twice: {', '.join(twice)}", fix="keep one of each")
    return settings


class _Check:
    """Settings on their way to a `Declaration`; what is wrong with them gathers in `faults`."""

    def __init__(self, settings: Mapping[Any, Any]) -> None:
        self.settings = settings
        self.faults: list[str] = []

    def declaration(self) -> Declaration | None:
        self._keys()
        kind = self._one_of("answer_kind", get_args(AnswerKind))
        choices, in_one = self._choices(kind)
        found: dict[str, Any] = {
            "name": self._text("name", _NAME, "lower-case letters, digits, dots and hyphens"),
            "description": self._text("description"),
            "licence": self._text("licence"),
            "file": self._text("file"),
            "format": self._format(),
            "answer_kind": kind,
            "prompt": self._template("prompt", bool(choices)),
            "shot": self._template("shot", bool(choices)),
            "target": self._text("target"),
            "default_rule": self._rule(kind),
            "choices": choices,
            "choices_in_one": in_one,
            "id": self._text("id"),
            "question": self._text("question"),
            "source": self._text("source"),
            "judge": self._one_of("judge", get_args(JudgeName)) or None,
            "sha256": self._text("sha256", _SHA256, "64 hexadecimal digits, lower case") or None,
        }
        return None if self.faults else Declaration(**found)

    def fault(self, place: str, reason: str) -> None:
        self.faults.append(f"{place}: {reason}")

    def _keys(self) -> None:
        for key in self.settings:
            if key not in KEYS:
                self.fault(str(key), f"unknown setting. {did_you_mean(str(key), KEYS)}".rstrip())
        for key in _NEEDED:
            if self.settings.get(key) is None:
                self.fault(key, "missing")

    def _text(self, key: str, pattern: re.Pattern[str] | None = None, form: str = "") -> str:
        value = self.settings.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.strip():
            self.fault(key, "must be text")
            return ""
        if pattern is not None and not pattern.fullmatch(value):
            self.fault(key, f"{value[:80]!r} must be {form}")
        return value

    def _one_of(self, key: str, names: tuple[str, ...]) -> Any:
        value = self._text(key)
        if value and value not in names:
            hint = did_you_mean(value, names) or f"choose one of {', '.join(names)}"
            self.fault(key, f"unknown value {value[:80]!r}. {hint}")
            return ""
        return value

    def _format(self) -> str:
        if given := self._one_of("format", get_args(RowFormat)):
            return str(given)
        file = self.settings.get("file")
        if not isinstance(file, str) or self.settings.get("format") is not None:
            return ""
        suffix = Path(file).suffix.lower()
        if suffix not in _FORMATS:
            self.fault("format", f"missing, and {suffix or 'no suffix'!r} does not tell: jsonl, csv or tsv")
            return ""
        return _FORMATS[suffix]

    def _template(self, key: str, has_choices: bool) -> PromptTemplate | None:
        text = self._text(key)
        if not text:
            return None
        try:
            template = parse_template(text)
        except ValueError as error:
            self.fault(key, str(error))
            return None
        if not template.fields:
            self.fault(key, "names no {column}, so every item would be asked the same")
        if "choices" in template.fields and not has_choices:
            self.fault(key, "{choices} needs the setting choices")
        return template

    def _choices(self, kind: str) -> tuple[tuple[str, ...], bool]:
        value = self.settings.get("choices")
        if value is None:
            if kind == "choice":
                self.fault("choices", "missing; name the columns of the options, or the column with a list of them")
            return (), False
        if kind and kind != "choice":
            self.fault("choices", f"only for answer_kind: choice, not {kind}")
        if isinstance(value, str) and value.strip():
            return (value,), True
        columns = value if isinstance(value, list) else []
        if not 2 <= len(columns) <= MOST_CHOICES or not all(isinstance(column, str) and column for column in columns):
            self.fault("choices", f"must be a list of 2 to {MOST_CHOICES} columns, or one column that holds a list")
            return (), False
        if len(set(columns)) < len(columns):
            self.fault("choices", "names a column twice")
        return tuple(columns), False

    def _rule(self, kind: AnswerKind | Literal[""]) -> str:
        rule = self._text("default_rule")
        if not kind:
            return rule
        names = [each.name for each in rules_for(kind)]
        if rule and rule not in names:
            hint = did_you_mean(rule, names) or f"choose one of {', '.join(names)}"
            self.fault("default_rule", f"{rule[:80]!r} reads no answers of the kind {kind}. {hint}")
        return rule or _DEFAULT_RULES[kind]
