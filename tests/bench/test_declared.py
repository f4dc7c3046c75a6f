"""Tasks that users declare."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctiforge.bench.declaration import KEYS
from ctiforge.bench.declared import load_declared
from ctiforge.bench.prompt import rotate_options
from ctiforge.bench.prompt_template import parse_template, render_options
from ctiforge.bench.tasks import find_task, load_task
from ctiforge.core.errors import InputError, MissingExtraError, SettingError

BASE = {
    "name": "own-task",
    "description": "Words for things.",
    "licence": "CC0-1.0",
    "file": "own.jsonl",
    "answer_kind": "text",
    "prompt": "What is {thing}?",
    "target": "word",
}
few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def declare(folder: Path, rows: list[dict[str, Any]] | str | None = None, **more: Any) -> Path:
    """Write a declaration of `BASE` with `more` (None takes a setting out) and its file."""
    given = {key: value for key, value in {**BASE, **more}.items() if value is not None}
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(given), "utf-8")
    if rows is not None:
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        (folder / given["file"]).write_text(text, "utf-8")
    return path


def test_the_example_in_the_documents_runs(repository: Path) -> None:
    path = repository / "docs" / "examples" / "benchmark-task.yaml"
    loaded = load_task(str(path), repository)
    assert loaded.path == path.with_suffix(".jsonl")
    assert [sample.id for sample in loaded.samples] == [f"report-to-weakness/PS-{number}" for number in range(1, 5)]
    assert loaded.task.default_rule == "last-cwe"
    first = loaded.samples[0]
    assert first.target == "CWE-121"
    assert first.question in first.input
    assert "Lamprey print server" in first.input
    assert loaded.task.shot(first) == f"Report: {first.question}\nAnswer:"
    assert loaded.task.judge("CWE-121", first).correct
    assert not loaded.task.judge("CWE-120", first).correct


def test_every_setting_is_described(repository: Path) -> None:
    text = (repository / "docs" / "benchmark-tasks.md").read_text("utf-8")
    table = text[text.index("| setting |") :]
    assert [key for key in KEYS if f"`{key}`" not in table] == []


def test_a_task_is_found_by_the_path_of_its_declaration(tmp_path: Path) -> None:
    path = declare(tmp_path, [{"thing": "a place for ships", "word": "harbour"}])
    task = find_task(str(path))
    assert (task.name, task.sha256, task.url) == ("own-task", None, None)
    (sample,) = load_task(str(path), tmp_path / "elsewhere").samples
    assert (sample.id, sample.input, sample.target) == ("own-task/0000", "What is a place for ships?", "harbour")
    assert task.shot(sample) == "What is a place for ships?\nAnswer:"


def test_its_file_may_lie_in_the_data_folder_or_be_named(tmp_path: Path) -> None:
    path = declare(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(InputError, match=r"own-task: no own\.jsonl in "):
        load_task(str(path), data)
    (data / "own.jsonl").write_text('{"thing": "x", "word": "in the folder"}', "utf-8")
    assert load_task(str(path), data).samples[0].target == "in the folder"
    other = tmp_path / "other.txt"
    other.write_text('{"thing": "x", "word": "named"}', "utf-8")
    assert load_task(str(path), other).samples[0].target == "named"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("own.csv", 'thing,word\n"a, b",w\n'),
        ("own.tsv", "thing\tword\na, b\tw\n"),
        ("own.ndjson", '{"thing": "a, b", "word": "w"}'),
    ],
)
def test_the_format_is_that_of_the_suffix(file: str, text: str, tmp_path: Path) -> None:
    (sample,) = load_task(str(declare(tmp_path, text, file=file)), tmp_path).samples
    assert sample.input == "What is a, b?"


def test_the_format_may_be_said(tmp_path: Path) -> None:
    path = declare(tmp_path, "thing,word\na,w\n", file="own.txt", format="csv")
    assert load_task(str(path), tmp_path).samples[0].target == "w"


@pytest.mark.parametrize(
    ("choices", "row"),
    [
        (["one", "two", "three"], {"one": "red", "two": "green", "three": "blue"}),
        ("options", {"options": ["red", "green", "blue"]}),
        ("options", {"options": '["red", "green", "blue"]'}),
    ],
)
def test_options_come_from_columns_or_a_list(choices: Any, row: dict[str, Any], tmp_path: Path) -> None:
    path = declare(
        tmp_path,
        [{"thing": "grass", "word": "b", **row}],
        answer_kind="choice",
        choices=choices,
        prompt="Colour of {thing}?\n{choices}\nAnswer with a letter.",
        shot="{thing}:\n{choices}",
    )
    loaded = load_task(str(path), tmp_path)
    (sample,) = loaded.samples
    assert sample.choices == ("red", "green", "blue")
    assert sample.target == "B"
    assert sample.input == "Colour of grass?\nA) red\nB) green\nC) blue\nAnswer with a letter."
    assert loaded.task.shot(sample) == "grass:\nA) red\nB) green\nC) blue\nAnswer:"
    # Options in another order are in the shot as well.
    assert loaded.task.shot(rotate_options(sample, 1)).count("B) green") == 0
    assert loaded.task.default_rule == "cascade"


@pytest.mark.parametrize(
    ("judge", "answer", "correct"),
    [
        (None, "Salt", True),
        ("exact", "salt", False),
        ("casefold", " SALT ", True),
        ("set", "salt,", True),
        ("set", "salt, pepper", False),
    ],
)
def test_the_judge_is_the_one_that_is_named(judge: str | None, answer: str, correct: bool, tmp_path: Path) -> None:
    loaded = load_task(str(declare(tmp_path, [{"thing": "t", "word": "Salt"}], judge=judge)), tmp_path)
    assert loaded.task.judge(answer, loaded.samples[0]).correct is correct


def test_golds_take_the_form_of_their_kind(tmp_path: Path) -> None:
    rows = [{"thing": "a", "word": ["T1059.001", "T1071"]}, {"thing": "b", "word": None}]
    loaded = load_task(str(declare(tmp_path, rows, answer_kind="technique_set")), tmp_path)
    assert [sample.target for sample in loaded.samples] == ["T1059,T1071", ""]  # no gold: unscored
    assert loaded.task.judge("T1071", loaded.samples[0]).value == pytest.approx(2 / 3)
    with pytest.raises(InputError, match=r"row 0 \(line 1\): 'word': 'salt' is not one CWE ID"):
        load_task(str(declare(tmp_path, [{"thing": "a", "word": "salt"}], answer_kind="cwe")), tmp_path)


def test_ids_must_differ(tmp_path: Path) -> None:
    rows = [{"thing": "a", "word": "x", "n": "7"}, {"thing": "b", "word": "y", "n": "7"}]
    with pytest.raises(InputError, match=r"row 1 \(line 2\): 'n' is that of row 0 too: 'own-task/7'"):
        load_task(str(declare(tmp_path, rows, id="n")), tmp_path)


@pytest.mark.parametrize(
    ("rows", "more", "reason"),
    [
        ([{"word": "w"}], {}, "no column 'thing' among 'word'"),
        ([{"thing": "a"}], {}, "no column 'word'"),
        ([{"thing": " ", "word": "w"}], {}, "every column of the prompt is empty"),
        ([{"thing": "a", "word": "A", "o": ["x"]}], {"answer_kind": "choice", "choices": "o"}, "must be a list of 2 to 26"),
        ([{"thing": "a", "word": "A", "o": "x|y"}], {"answer_kind": "choice", "choices": "o"}, "a JSON list of options"),
    ],
)
def test_a_row_that_does_not_fit_is_named(rows: Any, more: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        load_task(str(declare(tmp_path, rows, **more)), tmp_path)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"promt": "x"}, "promt: unknown setting. did you mean 'prompt'?"),
        ({"name": None}, "name: missing"),
        ({"name": "Own Task"}, "name: 'Own Task' must be lower-case letters"),
        ({"licence": 3}, "licence: must be text"),
        ({"file": "own.xlsx"}, "format: missing, and '.xlsx' does not tell"),
        ({"format": "jsnl"}, "format: unknown value 'jsnl'. did you mean 'jsonl'?"),
        ({"answer_kind": "cwes"}, "answer_kind: unknown value 'cwes'. did you mean 'cwe'?"),
        ({"judge": "fuzzy"}, "judge: unknown value 'fuzzy'. choose one of exact, set, casefold"),
        ({"default_rule": "last-cwe"}, "default_rule: 'last-cwe' reads no answers of the kind text"),
        ({"prompt": "What?"}, "prompt: names no {column}"),
        ({"prompt": "{thing"}, "prompt: no name of a column between braces at '{thing'"),
        ({"prompt": "{} {thing}"}, "prompt: no name of a column between braces at '{} {thing}'"),
        ({"prompt": "{thing} }"}, "prompt: no name of a column between braces at '{thing} }'"),
        ({"prompt": "{thing} {choices}"}, "prompt: {choices} needs the setting choices"),
        ({"answer_kind": "choice"}, "choices: missing"),
        ({"choices": ["a", "b"]}, "choices: only for answer_kind: choice, not text"),
        ({"answer_kind": "choice", "choices": ["a"]}, "choices: must be a list of 2 to 26 columns"),
        ({"answer_kind": "choice", "choices": ["a", "a"]}, "choices: names a column twice"),
        ({"sha256": "abc"}, "sha256: 'abc' must be 64 hexadecimal digits"),
    ],
)
def test_a_fault_is_named_with_its_setting(more: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_declared(declare(tmp_path, **more))
    assert f"1 fault(s)\n  {fault}" in caught.value.message


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_declared(declare(tmp_path, name="A B", prompt="{", target=None, extra=1, judge="no", default_rule="none"))
    assert "6 fault(s)" in caught.value.message
    for place in ("name:", "prompt:", "target:", "extra:", "judge:", "default_rule:"):
        assert f"\n  {place}" in caught.value.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n- b\n", "a task is a mapping"),
        ("", "a task is a mapping"),
        ("name: [\n", "not YAML"),
        ("name: !!python/object:os.system {}\n", "not YAML"),
        ("name: a\nname: b\n", "set twice: name"),
    ],
)
def test_what_is_no_declaration_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=reason):
        load_declared(path)


def test_declarations_need_a_package_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match="needs 'PyYAML'"):
        load_declared(tmp_path / "own.yaml")


def test_a_missing_declaration_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        find_task(str(tmp_path / "none.yml"))


def test_the_name_of_a_task_that_exists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="'cti-rcm' is the name of a task of ctiforge"):
        find_task(str(declare(tmp_path, name="cti-rcm")))


NAMES = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@few
@given(pieces=st.lists(st.tuples(st.text(max_size=8), NAMES), max_size=4), end=st.text(max_size=8), cell=st.text(max_size=12))
def test_a_template_gives_its_text_and_cells_back(pieces: list[tuple[str, str]], end: str, cell: str) -> None:
    """Also where a cell looks like a template itself."""

    def literal(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    template = parse_template("".join(literal(text) + "{" + name + "}" for text, name in pieces) + literal(end))
    assert template.fields == tuple(dict.fromkeys(name for _, name in pieces))
    cells = {name: f"{cell}{{{name}}}" for _, name in pieces}
    assert template.render(cells.__getitem__) == "".join(text + cells[name] for text, name in pieces) + end


@few
@given(text=st.text(alphabet="{}ab!:[. ", max_size=12))
def test_any_template_is_read_or_refused(text: str) -> None:
    try:
        template = parse_template(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017
    else:
        assert all(name.strip() for name in template.fields)


@few
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=4,
    ),
    key=st.sampled_from(KEYS),
)
def test_any_value_of_a_setting_is_taken_or_named(value: Any, key: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({**BASE, key: value}), "utf-8")
    try:
        load_declared(path)
    except InputError as error:
        assert f"\n  {key}: " in error.message or key in ("file", "answer_kind")  # noqa: PT017


def test_options_are_lettered() -> None:
    assert render_options(["x", "y"]) == "A) x\nB) y"
