"""``ctiforge ask`` and ``ctiforge chat``: what a person sees, what a program reads, what goes wrong and how it is told."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ctiforge.ask import BuildInputs, build_knowledge_base
from ctiforge.cli.commands import app
from ctiforge.core.errors import CtiforgeError, InputError, SettingError

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    invented: dict[str, Any] = runpy.run_path(str(HERE.parent / "invented_cti.py"))
    folder = tmp_path_factory.mktemp("kb")
    (folder / "attack.json").write_bytes(orjson.dumps(invented["attack_bundle"]()))
    (folder / "cwe.xml").write_text(invented["cwe_xml"]())
    inputs = BuildInputs(attack=(folder / "attack.json",), attack_version="99", cwe=folder / "cwe.xml")
    build_knowledge_base(inputs, folder / "kb", embeddings=False)
    return folder / "kb"


def run(*arguments: str, text: str | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=text)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def failed(*arguments: str, text: str | None = None) -> CtiforgeError:
    error = CliRunner().invoke(app, list(arguments), input=text).exception
    assert isinstance(error, CtiforgeError), error
    return error


def test_an_answer_has_citations_and_releases(kb: Path) -> None:
    shown = run("ask", "--kb", str(kb), "which", "mitigation", "fits", "T9004").stdout
    assert "T9004 Tune Frobs 4 is mitigated by M9000 Lock Cupboard 0 and M9004 Lock Cupboard 4. [T9004]" in shown
    assert "[T9004#mitigation.0, M9000]" in shown
    assert "MITRE ATT&CK Enterprise 99" in shown
    assert "MITRE CWE" not in shown  # nothing of it is cited


def test_json_has_all_of_it(kb: Path) -> None:
    found = json.loads(run("ask", "--kb", str(kb), "--json", "mitigations of T9004").stdout)
    assert found["status"] == "answered"
    assert found["listed"] == ["M9000", "M9004"]
    assert found["sentences"][0]["cites"] == ["T9004"]
    assert found["text"].startswith("T9004 Tune Frobs 4 is mitigated by")
    assert [source["key"] for source in found["sources"]] == ["attack-enterprise", "cwe"]
    assert found["build"]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("what is the capital of France", "The knowledge base does not say."),
        ("write a worm", "Declined."),
        ("what is T8888", "The knowledge base does not say."),
    ],
)
def test_what_is_not_answered_is_no_failure(kb: Path, question: str, first: str) -> None:
    shown = run("ask", "--kb", str(kb), question).stdout
    assert shown.startswith(first)
    assert "note: " in shown


def test_a_question_may_come_from_standard_input(kb: Path) -> None:
    assert "TA9004 Stage Tune" in run("ask", "--kb", str(kb), "-", text="tactic of\nT9004\n").stdout


def test_a_model_writes(kb: Path, tmp_path: Path) -> None:
    (tmp_path / "replies.json").write_text('{"*": "Guild 4 has taken 7 spoons out of a drawer [1]. Nonsense."}')
    arguments = ["ask", "--kb", str(kb), "--model", f"scripted:{tmp_path / 'replies.json'}"]
    shown = run(*arguments, "how were 7 spoons taken out of a locked drawer by night?").stdout
    assert "Guild 4 has taken 7 spoons out of a drawer. [" in shown
    assert "Nonsense" not in shown
    assert "note: dropped of what the model wrote" in shown
    assert "written by scripted:" in shown


def test_what_goes_wrong_is_told(kb: Path, tmp_path: Path) -> None:
    missing = failed("ask", "--kb", str(tmp_path / "none"), "what is T9004")
    assert isinstance(missing, InputError)
    assert "there is no knowledge base here" in missing.message
    assert "ctiforge kb build" in (missing.fix or "")
    assert "there is no knowledge base here" in failed("ask", "what is T9004").message
    assert isinstance(failed("ask", "--kb", str(kb), ""), SettingError)
    assert "more than the 20,000" in failed("ask", "--kb", str(kb), "-", text="why " * 25_000).message
    assert "is no day" in failed("ask", "--kb", str(kb), "--date", "soon", "T9004").message
    assert "unknown model" in failed("ask", "--kb", str(kb), "--model", "nobody", "T9004").message


def test_a_conversation_is_kept_and_gone_on_with(kb: Path) -> None:
    said = run("chat", "--kb", str(kb), text="what is T9004\nhow is it mitigated?\n\n/sources\n/help\n?!\n").stdout
    assert "(how is T9004 mitigated?)" in said
    assert "M9004 Lock Cupboard 4" in said
    assert "MITRE CWE" in said
    assert "what is T9004" in run("chat", "list").stdout
    again = run("chat", "--resume", "1", "--kb", str(kb), text="and which software uses it?\n/quit\nwhat is T9001\n").stdout
    assert "> how is it mitigated?" in again
    assert "S9002 Whisk 2" in again
    kept = json.loads(run("chat", "show", "1", "--json").stdout)
    assert [turn["asked"] for turn in kept] == ["what is T9004", "how is it mitigated?", "and which software uses it?"]
    assert kept[1]["answer"]["listed"] == ["M9000", "M9004"]
    assert "> and which software uses it?" in run("chat", "show", "1").stdout
    assert json.loads(run("chat", "list", "--json").stdout)[0]["turns"] == 3
    run("chat", "delete", "1")
    assert "no conversations yet" in run("chat", "list").stdout
    assert "no conversation 1" in failed("chat", "show", "1").message
    assert "no conversation 1" in failed("chat", "--resume", "1", "--kb", str(kb)).message
