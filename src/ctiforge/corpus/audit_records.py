"""Training records of any layout as what an audit compares: prompt, answer, identifiers.

Known layouts: prompt and completion under their usual names, Alpaca's instruction with input, chat messages (OpenAI's role and
content, ShareGPT's from and value), one text column that holds a conversation, and this project's own records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from ctiforge.core.errors import did_you_mean
from ctiforge.corpus.contamination.instructions import split_answer
from ctiforge.corpus.rows import FileRow, data_files, read_file_rows

__all__ = ["AuditColumns", "AuditRecord", "read_audit_records"]

_PROMPTS: Final = ("prompt", "question", "query", "instruction", "user", "problem")
_TEXTS: Final = ("text", "description", "content", "document", "body", "report")
_ANSWERS: Final = ("completion", "response", "output", "answer", "target", "chosen", "assistant", "solution")
_CHATS: Final = ("messages", "conversations", "conversation", "chat", "turns")
_IDS: Final = frozenset(
    ["id", "ids", "cve", "cveid", "cveids", "source", "sourceid", "url", "link", "reference", "references", "object"]
)
_OPTIONS: Final = ("options", "choices")
_ASSISTANTS: Final = frozenset(("assistant", "gpt", "model", "bot", "ai"))


@dataclass(frozen=True, slots=True)
class AuditColumns:
    """Columns that the user names instead of the usual ones; empty: the usual ones.

    Attributes:
        text: to be compared, all of them; `ids`: with identifiers.
    """

    text: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


_USUAL: Final = AuditColumns()


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record.

    Attributes:
        file, number, line: where it stands (`FileRow`).
        prompt: what may hold an instruction that others share; `extra`: other texts that are compared (answers, a description).
        ids: identifiers and addresses in its columns, between spaces.
        fault: why it cannot be checked, empty if it can.
    """

    file: str
    number: int
    line: int
    prompt: str
    extra: tuple[str, ...]
    ids: str
    fault: str = ""


def read_audit_records(path: Path, columns: AuditColumns = _USUAL, *, skip_unreadable: bool = False) -> Iterator[AuditRecord]:
    """Yield the records of a file, or of the data files in a folder.

    Args:
        skip_unreadable: yield a record with its `fault` where a row cannot be read or has no text, instead of stopping.

    Raises:
        InputError: a file cannot be read, or a row cannot (see `skip_unreadable`); it names file, row and fix.
        MissingExtraError: a Parquet file without pyarrow.
    """
    for file in data_files(path):
        for row in read_file_rows(file):
            record = _record(row, columns)
            if record.fault and not skip_unreadable:
                raise row.error(record.fault) if row.fault else row.error(record.fault, _text_fix(row, columns))
            yield record


def _text_fix(row: FileRow, columns: AuditColumns) -> str:
    for name in columns.text:
        if name not in row.cells:
            return did_you_mean(name, row.cells) or f"its columns are {', '.join(row.cells)[:200]}"
    return "name the column that holds the text: --text COLUMN; or leave such rows out: --skip-unreadable"


def _record(row: FileRow, columns: AuditColumns) -> AuditRecord:
    if row.fault:
        return AuditRecord(row.path, row.number, row.line, "", (), "", row.fault)
    plain = {_plain(name): value for name, value in row.cells.items()}
    if columns.text:
        prompt, extra = "", tuple(text for name in columns.text if (text := _as_text(row.cells.get(name))))
        prompt, extra = (extra[0], extra[1:]) if extra else ("", ())
    else:
        prompt, extra = _usual_texts(plain)
    ids = _identifiers(row.cells, columns.ids)
    fault = ""
    if not prompt.strip() and not any(map(str.strip, extra)):
        wanted = ", ".join(columns.text) or "prompt, text or messages"
        fault = f"no text under {wanted}; the row has {', '.join(row.cells)[:200] or 'no columns'}"
    return AuditRecord(row.path, row.number, row.line, prompt, extra, ids, fault)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _usual_texts(cells: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    for name in (*_CHATS, *_PROMPTS, "chosen"):
        if (turns := _turns(cells.get(name))) is not None:
            return _conversation(turns)
    extra = [text for name in (*_ANSWERS, "context") if (text := _as_text(cells.get(name)))]
    prompt = next((text for name in _PROMPTS if (text := _as_text(cells.get(name)))), "")
    if given := _as_text(cells.get("input")):
        prompt = f"{prompt}\n{given}" if prompt else given
    if options := _options(cells):
        prompt = f"{prompt}\n{options}"
    texts = [text for name in _TEXTS if (text := _as_text(cells.get(name)))]
    if not prompt and texts:
        prompt, answer = split_answer(texts.pop(0))
        extra += [answer] if answer else []
    return prompt, tuple(text for text in (*texts, *extra) if text != prompt)


def _turns(value: Any) -> Sequence[Mapping[str, Any]] | None:
    if isinstance(value, str) and value.lstrip()[:2] in ("[{", "[ "):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    if isinstance(value, list) and value and all(isinstance(turn, dict) for turn in value):
        return value
    return None


def _conversation(turns: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[str, ...]]:
    said: list[tuple[bool, str]] = []
    for turn in turns:
        role = str(turn.get("role") or turn.get("from") or "").lower()
        text = _as_text(turn.get("content", turn.get("value", turn.get("text"))))
        if text:
            said.append((role in _ASSISTANTS or role == "system", text))
    asked = [text for aside, text in said if not aside]
    rest = [text for aside, text in said if aside]
    return (asked[0], (*asked[1:], *rest)) if asked else ("", tuple(rest))


def _options(cells: Mapping[str, Any]) -> str:
    given = [cells[name] for letter in "abcdefghij" if (name := f"option{letter}") in cells]
    for name in _OPTIONS:
        value = cells.get(name)
        if isinstance(value, dict):
            given = value["text"] if isinstance(value.get("text"), list) else list(value.values())
        elif isinstance(value, list):
            given = value
    texts = [text for option in given if (text := _as_text(option))]
    return "\n".join(f"{letter}) {text}" for letter, text in zip("ABCDEFGHIJ", texts, strict=False)) if len(texts) > 1 else ""


def _as_text(value: Any) -> str:
    """Return a string, or the texts in a list of parts, a turn or a SQuAD-like object; empty for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _as_text(value.get("text", value.get("content", value.get("value"))))
    if isinstance(value, list):
        return "\n".join(text for part in value if (text := _as_text(part)))
    return ""


def _identifiers(cells: Mapping[str, Any], named: tuple[str, ...]) -> str:
    found: list[str] = []
    for name, value in cells.items():
        if name in named or (not named and _plain(name) in _IDS):
            found += [str(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, str | int)]
        elif isinstance(value, dict) and not named:
            found.append(_identifiers(value, ()))
    return " ".join(found)
