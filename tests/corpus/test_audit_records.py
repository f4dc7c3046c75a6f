from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import InputError
from ctiforge.corpus.audit_records import AuditColumns, AuditRecord, read_audit_records

USUAL = AuditColumns()


def read(folder: Path, *rows: dict[str, Any], columns: AuditColumns = USUAL, skip: bool = False) -> list[AuditRecord]:
    path = folder / "corpus.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return list(read_audit_records(path, columns, skip_unreadable=skip))


ASK, TEXT, ANSWER = "Name the CWE.", "A flaw in the parser.", "It is CWE-20"


@pytest.mark.parametrize(("row", "prompt", "extra"), [
    ({"prompt": TEXT, "completion": ANSWER}, TEXT, (ANSWER,)),
    ({"Prompt": TEXT, "Response": ANSWER}, TEXT, (ANSWER,)),
    ({"instruction": ASK, "input": TEXT, "output": ANSWER}, f"{ASK}\n{TEXT}", (ANSWER,)),
    ({"messages": [{"role": "system", "content": ASK}, {"role": "user", "content": TEXT},
                   {"role": "assistant", "content": ANSWER}]}, TEXT, (ASK, ANSWER)),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]}, TEXT, ()),
    ({"conversations": [{"from": "human", "value": TEXT}, {"from": "gpt", "value": ANSWER}]}, TEXT, (ANSWER,)),
    ({"conversations": json.dumps([{"from": "human", "value": TEXT}])}, TEXT, ()),
    ({"prompt": [{"role": "user", "content": TEXT}], "completion": []}, TEXT, ()),
    ({"text": f"<|im_start|>user\n{TEXT}<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>"}, f"user\n{TEXT}", (ANSWER,)),
    ({"question": TEXT, "choices": ["one", "two"], "answer": 1}, f"{TEXT}\nA) one\nB) two", ()),
    ({"question": TEXT, "choices": {"text": ["one", "two"], "label": ["A", "B"]}}, f"{TEXT}\nA) one\nB) two", ()),
    ({"question": TEXT, "Option A": "one", "Option B": "two"}, f"{TEXT}\nA) one\nB) two", ()),
    ({"prompt": f"{ASK} {TEXT}", "completion": ANSWER, "text": TEXT}, f"{ASK} {TEXT}", (TEXT, ANSWER)),
])  # fmt: skip
def test_layouts_are_understood(tmp_path: Path, row: dict[str, Any], prompt: str, extra: tuple[str, ...]) -> None:
    (record,) = read(tmp_path, row)
    assert (record.prompt, record.extra) == (prompt, extra)


def test_identifiers_come_from_their_columns_only(tmp_path: Path) -> None:
    row = {"prompt": TEXT, "source_id": "CVE-2098-1", "metadata": {"url": "https://x/T1059", "note": "no"}, "label": "CWE-79"}
    assert read(tmp_path, row)[0].ids == "CVE-2098-1 https://x/T1059"
    assert read(tmp_path, row, columns=AuditColumns(ids=("label",)))[0].ids == "CWE-79"


def test_named_columns_win(tmp_path: Path) -> None:
    (record,) = read(tmp_path, {"prompt": ASK, "body_en": TEXT}, columns=AuditColumns(text=("body_en",)))
    assert (record.prompt, record.extra) == (TEXT, ())


@pytest.mark.parametrize(("row", "columns", "said", "fix"), [
    ({"alpha": 1}, AuditColumns(), "row 2 (line 2): no text under prompt, text or messages; the row has alpha", "--text"),
    ({"prompt": ""}, AuditColumns(), "row 2", "--skip-unreadable"),
    ({"prompt": TEXT}, AuditColumns(text=("promt",)), "no text under promt", "did you mean 'prompt'"),
])  # fmt: skip
def test_a_row_without_text_is_named(tmp_path: Path, row: dict[str, Any], columns: AuditColumns, said: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, {"prompt": TEXT, "promt": TEXT}, row, columns=columns)
    assert said in caught.value.message
    assert fix in str(caught.value.fix)


def test_rows_that_cannot_be_checked_can_be_kept_apart(tmp_path: Path) -> None:
    records = read(tmp_path, {"prompt": TEXT}, {"prompt": ""}, {"prompt": TEXT}, skip=True)
    assert [bool(record.fault) for record in records] == [False, True, False]
