"""The tasks of AthenaBench, on small invented files in its shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ctiforge.bench.task import Sample
from ctiforge.bench.tasks import athena_ate, athena_mcq, athena_rcm, athena_rms, athena_taa, athena_vsp
from ctiforge.core.errors import InputError

VECTOR = "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H"


def load_one(task_module: Any, folder: Path, record: Mapping[str, Any]) -> Sample:
    path = folder / "x.jsonl"
    path.write_text(json.dumps(record) + "\n\n", "utf-8")
    (sample,) = task_module.TASK.load(path)
    assert isinstance(sample, Sample)
    return sample


def test_rcm(tmp_path: Path) -> None:
    record = {"cve_id": "CVE-2099-1", "description": "d", "prompt": "p\n", "answer": "CWE-352", "prompt_hash": "0"}
    sample = load_one(athena_rcm, tmp_path, record)
    assert (sample.id, sample.input, sample.target, sample.question) == ("athena-rcm/0000", "p\n", "CWE-352", "d")
    assert sample.metadata["cve_id"] == "CVE-2099-1"
    assert athena_rcm.TASK.judge("CWE-352", sample).correct
    assert athena_rcm.TASK.shot(sample) == "CVE Description: d\nAnswer:"


@pytest.mark.parametrize(
    "record",
    [
        {"Prompt": "p", "Description": "d", "GT": "cwe-352"},
        {"input": "p", "text": "d", "gold": "352"},
        {"prompt": "p", "description": "d", "label": "CWE-352"},
    ],
)
def test_small_variants_of_the_fields_are_read(record: dict[str, str], tmp_path: Path) -> None:
    sample = load_one(athena_rcm, tmp_path, record)
    assert (sample.input, sample.question, sample.target) == ("p", "d", "CWE-352")


FIVE = {f"option_{letter}": f"option {letter}" for letter in "abcde"}


@pytest.mark.parametrize(
    "options",
    [
        FIVE,
        {"options": list(FIVE.values())},
        {"choices": {letter.upper(): f"option {letter}" for letter in "edcba"}},
    ],
)
def test_mcq_has_five_options(options: dict[str, Any], tmp_path: Path) -> None:
    record = {
        "question": "Which?",
        "prompt": "p",
        "answer": "E",
        "correct_answer": "T1000",
        "url": "https://a.example",
        **options,
    }
    sample = load_one(athena_mcq, tmp_path, record)
    assert sample.choices == tuple(FIVE.values())
    assert sample.target == "E"
    assert sample.source == "https://a.example"
    assert athena_mcq.TASK.shot(sample).endswith("D) option d\nE) option e\nAnswer:")


def test_mcq_takes_the_corrected_gold_where_there_is_no_final_one(tmp_path: Path) -> None:
    record = {"question": "Which?", "prompt": "p", "updated_answer": "c", "correct_answer": "T1000", **FIVE}
    assert load_one(athena_mcq, tmp_path, record).target == "C"


@pytest.mark.parametrize("options", [{}, {"options": ["one"]}, {"options": "A"}, {"options": [1, 2]}])
def test_mcq_needs_options(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no options"):
        load_one(athena_mcq, tmp_path, {"question": "Which?", "prompt": "p", "answer": "A", **options})


def test_vsp(tmp_path: Path) -> None:
    record = {
        "cve_id": "CVE-2099-1",
        "description": "d",
        "prompt": "p",
        "answer": VECTOR,
        "vector_score": 5.5,
        "severity": "MEDIUM",
    }
    sample = load_one(athena_vsp, tmp_path, record)
    assert sample.target == VECTOR
    assert sample.metadata == {"cve_id": "CVE-2099-1", "severity": "MEDIUM"}
    judged = athena_vsp.TASK.judge("CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N", sample)  # other metrics, same score
    assert (judged.correct, judged.value) == (True, 0.0)


def test_ate_folds_the_gold(tmp_path: Path) -> None:
    record = {"technique_id": "T1053.002", "description": "what", "scenario": "how", "prompt": "p", "answer": "T1053.002"}
    sample = load_one(athena_ate, tmp_path, record)
    assert (sample.target, sample.question) == ("T1053", "how")
    assert athena_ate.TASK.judge("T1053", sample).correct
    assert not athena_ate.TASK.judge("T1053,T1059", sample).correct
    assert athena_ate.TASK.shot(sample).startswith("Scenario: how\n")


def test_taa(tmp_path: Path) -> None:
    record = {
        "url": "https://a.example",
        "timestamp": "2099-01-01T00:00:00",
        "description": "d",
        "prompt": "p",
        "answer": "APT900",
    }
    sample = load_one(athena_taa, tmp_path, record)
    assert sample.target == "APT900"
    assert athena_taa.TASK.judge("apt 900", sample).correct
    assert load_one(athena_taa, tmp_path, {"description": "d", "prompt": "p"}).target == ""


@pytest.mark.parametrize("gold", ["M1026, M1018", ["M1018", "M1026"], "m1018,M1026,M1018"])
def test_rms_compares_sets_of_mitigations(gold: Any, tmp_path: Path) -> None:
    sample = load_one(athena_rms, tmp_path, {"scenario": "s", "prompt": "p", "answer": gold})
    assert sample.target == "M1018,M1026"
    assert athena_rms.TASK.judge("M1026,M1018", sample).correct
    assert athena_rms.TASK.judge("M1026,M1047", sample).value == 0.5
    assert "2 MITRE" in athena_rms.TASK.shot(sample)


def test_rms_refuses_a_technique_as_gold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'T1059' is not an ATT&CK mitigation ID"):
        load_one(athena_rms, tmp_path, {"scenario": "s", "prompt": "p", "answer": "T1059"})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "a list, where an object is needed"),
        ('{"prompt": true, "description": "d", "answer": "CWE-79"}', "'prompt' is true or false, where text is needed"),
        ('{"prompt": null, "description": "d", "answer": "CWE-79"}', "'prompt' is missing or empty"),
        ('{"prompt": "p", "description": "d", "answer": "CWE-79 or CWE-80"}', "is not one CWE ID"),
        ('{"prompt": "p", "description": "d", "answer": {"a": 1}}', "an object, where text is needed"),
    ],
)
def test_a_bad_row_is_named_with_its_line(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "p", "description": "d", "answer": "CWE-79"}\n\n' + line + "\n", "utf-8")
    with pytest.raises(InputError) as caught:
        athena_rcm.TASK.load(path)
    assert f"{path}: row 1 (line 3): " in caught.value.message
    assert reason in caught.value.message
