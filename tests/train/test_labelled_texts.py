from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

from ctiforge.core.advisory import Reject
from ctiforge.train.labelled_texts import LabelledText, read_labelled_texts

SETTINGS = {"prompt_field": "prompt", "answer_field": "response", "text_after": "Text:"}


def read(path: Path, *records: Any) -> list[LabelledText | Reject]:
    path.write_bytes(lzma.compress("\n".join(json.dumps(record) for record in records).encode()))
    return list(read_labelled_texts(path, **SETTINGS))


def test_the_text_follows_the_marker_and_the_label_is_the_last(tmp_path: Path) -> None:
    record = {"prompt": "Map this. Text: A flaw. Text: twice ", "response": "Not CWE-20.\n\nCWE-079"}
    assert read(tmp_path / "pairs.jsonl.xz", record) == [LabelledText("A flaw. Text: twice", "CWE-79")]


def test_a_record_without_text_or_label_is_rejected_and_the_next_is_read(tmp_path: Path) -> None:
    found = read(
        tmp_path / "pairs.jsonl.xz",
        {"prompt": "no marker", "response": "CWE-79"},
        {"prompt": "Text: ", "response": "CWE-79"},
        {"prompt": "Text: a flaw", "response": "unknown"},
        {"prompt": None},
        {"prompt": "Text: a flaw", "response": "CWE-79"},
    )
    assert [each.detail if isinstance(each, Reject) else each.cwe_id for each in found] == [
        "no description in 'prompt'",
        "no description in 'prompt'",
        "no CWE ID in 'response'",
        "no description in 'prompt'",
        "CWE-79",
    ]


def test_a_line_that_is_no_json_object_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "Text: a", "response": "CWE-79"}\n[1, 2]\n{"prompt": \n')
    kinds = [type(each).__name__ for each in read_labelled_texts(tmp_path / "pairs.jsonl", **SETTINGS)]
    assert kinds[0] == "LabelledText"
    assert "LabelledText" not in kinds[1:]
