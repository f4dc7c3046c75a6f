from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from ctiforge.bench.tasks import TASKS
from ctiforge.core.errors import InputError
from ctiforge.corpus.contamination.benchmarks import load_benchmarks
from ctiforge.sources.benchmark_pins import BENCHMARK_PINS

INVENTED: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("invented_benchmark.py")))


def test_pins_are_those_of_the_tasks() -> None:
    pinned = {task.file: task.sha256 for task in TASKS.values() if task.file.startswith("cti-")}
    assert dict(BENCHMARK_PINS) == pinned


def test_a_folder_is_read_by_content(tmp_path: Path) -> None:
    texts = INVENTED["write_benchmark"](tmp_path)
    (tmp_path / "LICENSE.txt").write_text("words")
    (tmp_path / "scores.json").write_text('{"rows": [{"accuracy": 0.5}]}')
    found = load_benchmarks([tmp_path])
    assert [(file.name, file.items, file.pin, file.text_column) for file in found.files] == [
        ("own-mcq.tsv", 20, "none", "question"),
        ("own-rcm.tsv", 60, "none", "description"),
    ]
    assert list(found.skipped) == ["scores.json"]
    item = next(each for each in found.items if each.file == "own-rcm.tsv")
    assert (item.item_id, item.text, item.cve_ids) == ("own-rcm/0000", texts[0], {"CVE-2098-1000"})
    choice = found.items[0]
    assert choice.source_object == "T9000.001"
    assert len(choice.options) == 4
    assert found.instructions.remove_from(
        f"Name the CWE of the text below, with a reason, then the ID on the last line. {texts[0]}"
    )


def test_prompts_alone_are_stripped_and_options_found(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    rows = [
        {"prompt": f"Answer by letter only, please. Question: What does tool {n} do?\nA) one {n}\nB) two {n}\nC) three {n}"}
        for n in range(12)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = load_benchmarks([path])
    assert found.items[3].text == "What does tool 3 do?"
    assert found.items[3].options == ("one 3", "two 3", "three 3")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cti-rcm.tsv", "URL\tDescription\tPrompt\tGT\nx\ta text\tp\tCWE-79\n", "not the published cti-rcm.tsv"),
        ("mine.tsv", "Alpha\tBeta\n1\t2\n", "row 1 (line 2): no column of texts among Alpha, Beta"),
        ("mine.jsonl", '{"question": "one two"}\n{"question": ""}\n', "row 2 (line 2): 'question' is empty"),
        ("mine.jsonl", '{"question": "one"}\n{"quest\n', "row 2 (line 2): not JSON"),
        ("mine.jsonl", "", "empty"),
    ],
)
def test_a_bad_file_is_named_with_row_and_fix(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        load_benchmarks([path])
    assert str(path) in caught.value.message
    assert said in caught.value.message
    assert caught.value.fix


def test_a_changed_file_is_taken_on_request(tmp_path: Path) -> None:
    path = tmp_path / "cti-rcm.tsv"
    path.write_text("URL\tDescription\tPrompt\tGT\nx\ta text of words\tp\tCWE-79\n")
    assert load_benchmarks([path], allow_changed=True).files[0].pin == "differs"


def test_no_items_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text('[{"accuracy": 0.5}]')
    with pytest.raises(InputError, match="no benchmark items"):
        load_benchmarks([tmp_path])
    with pytest.raises(InputError, match="no such file"):
        load_benchmarks([tmp_path / "absent"])
