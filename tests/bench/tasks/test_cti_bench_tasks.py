"""The tasks of CTI-Bench, on small invented files in its shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctiforge.bench.tasks import TASKS, cti_ate, cti_mcq, cti_rcm, cti_rcm_2021, cti_taa, cti_vsp
from ctiforge.core.errors import InputError

VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def write_tsv(path: Path, *rows: tuple[str, ...]) -> Path:
    path.write_bytes("\r\n".join("\t".join(row) for row in rows).encode())
    return path


def test_rcm_reads_description_prompt_and_gold(tmp_path: Path) -> None:
    path = write_tsv(
        tmp_path / "x.tsv",
        ("URL", "Description", "Prompt", "GT"),
        (
            "https://nvd.example/CVE-2099-10001",
            "A title is shown as typed. ",
            "Map it: A title is shown as typed. ",
            " CWE-079 ",
        ),
        ("", '"Save as" writes anywhere.', 'Map it: "Save as" writes anywhere.', "cwe-22"),
    )
    first, second = cti_rcm.TASK.load(path)
    assert first.id == "cti-rcm/0000"
    assert first.input == "Map it: A title is shown as typed. "  # sent as it is, final space and all
    assert first.question == "A title is shown as typed."
    assert (first.target, second.target) == ("CWE-79", "CWE-22")
    assert first.source == "https://nvd.example/CVE-2099-10001"
    assert first.metadata == {"cve_id": "CVE-2099-10001"}
    assert second.metadata == {"cve_id": None}
    assert second.question == '"Save as" writes anywhere.'
    assert cti_rcm.TASK.shot(first) == "CVE Description: A title is shown as typed.\nAnswer:"
    assert cti_rcm.TASK.judge("CWE-79", first).correct
    assert cti_rcm.TASK.judge("CWE-80", first).value == 0


def test_rcm_2021_has_ids_of_its_own(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", ("URL", "Description", "Prompt", "GT"), ("u", "d", "p", "CWE-264"))
    assert [sample.id for sample in cti_rcm_2021.TASK.load(path)] == ["cti-rcm-2021/0000"]


def test_the_same_text_twice_stays_twice(tmp_path: Path) -> None:
    path = write_tsv(
        tmp_path / "x.tsv", ("URL", "Description", "Prompt", "GT"), ("a", "d", "p", "CWE-79"), ("b", "d", "p", "CWE-80")
    )
    assert [sample.target for sample in cti_rcm.TASK.load(path)] == ["CWE-79", "CWE-80"]


MCQ = ("URL", "Question", "Option A", "Option B", "Option C", "Option D", "Prompt", "GT")


def test_mcq_reads_options_as_text_and_a_small_gold_letter(tmp_path: Path) -> None:
    path = write_tsv(
        tmp_path / "x.tsv",
        MCQ,
        ("u", "Which skill?", "None", "Low", "NA", "null", "Q A) None B) Low C) NA D) null", "b"),
        ("u", "Which matrix?", "ICS", "Mobile", "Enterprise", "", "Q A) ICS B) Mobile C) Enterprise D) nan", "C"),
        ("u", "Three?", "x", "y", "z", "", "Q A) x B) y C) z", "A"),
    )
    first, second, third = cti_mcq.TASK.load(path)
    assert first.choices == ("None", "Low", "NA", "null")
    assert first.target == "B"
    assert second.choices[3] == "nan"  # what the prompt shows, so that options can be found in it
    assert third.choices[3] == ""
    assert cti_mcq.TASK.shot(first) == "Question: Which skill?\nA) None\nB) Low\nC) NA\nD) null\nAnswer:"
    assert cti_mcq.TASK.judge("B", first).correct
    assert not cti_mcq.TASK.judge("C", first).correct


def test_mcq_refuses_a_letter_beyond_its_options(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", MCQ, ("u", "Q", "a", "b", "c", "d", "p", "E"))
    with pytest.raises(InputError, match=r"row 0 \(line 2\): 'GT': 'E' is not the letter of one of the 4 options"):
        cti_mcq.TASK.load(path)


def test_vsp_is_right_by_score_and_measures_the_deviation(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", ("URL", "Description", "Prompt", "GT"), ("u", "d", "p", f" {VECTOR}"))
    (sample,) = cti_vsp.TASK.load(path)
    assert sample.target == VECTOR
    same = cti_vsp.TASK.judge(VECTOR, sample)
    assert (same.correct, same.value) == (True, 0.0)
    lower = cti_vsp.TASK.judge("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", sample)  # 8.8 against 9.8
    assert (lower.correct, lower.value) == (False, 1.0)


def test_vsp_refuses_a_gold_that_is_no_vector(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", ("URL", "Description", "Prompt", "GT"), ("u", "d", "p", "CVSS:3.1/AV:N/AC:L"))
    with pytest.raises(InputError, match="not a CVSS v3 vector"):
        cti_vsp.TASK.load(path)


def test_ate_folds_sub_techniques(tmp_path: Path) -> None:
    path = write_tsv(
        tmp_path / "x.tsv",
        ("URL", "Platform", "Description", "Prompt", "GT"),
        ("u", "Mobile", "It records sound.", "Find them: It records sound. T1000 : Everything", "T1429, T1059.001,T1059"),
    )
    (sample,) = cti_ate.TASK.load(path)
    assert sample.target == "T1059,T1429"
    assert cti_ate.TASK.judge("T1429,T1059.003", sample).correct
    half = cti_ate.TASK.judge("T1059", sample)
    assert not half.correct
    assert half.value == pytest.approx(2 / 3)
    assert cti_ate.TASK.shot(sample).startswith("Text: It records sound.\n")
    assert "Mobile" in cti_ate.TASK.shot(sample)
    assert "T1000" not in cti_ate.TASK.shot(sample)


def test_taa_has_golds_only_where_the_file_has(tmp_path: Path) -> None:
    bare = write_tsv(tmp_path / "bare.tsv", ("URL", "Text", "Prompt"), ("u", "t", "p"))
    assert [sample.target for sample in cti_taa.TASK.load(bare)] == [""]
    own = write_tsv(
        tmp_path / "own.tsv", ("URL", "Text", "Prompt", "GT"), ("u", "t", "p", " Velvet  Heron "), ("v", "t", "p", "")
    )
    assert [sample.target for sample in cti_taa.TASK.load(own)] == ["Velvet Heron", ""]


@pytest.mark.parametrize("name", [name for name in TASKS if name.startswith("cti-")])
def test_a_missing_column_is_named(name: str, tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", ("URL", "Promt"), ("u", "p"))
    with pytest.raises(InputError, match=r"no column .*'Prompt'") as caught:
        TASKS[name].load(path)
    assert caught.value.fix


def test_an_empty_gold_is_a_bad_row_where_golds_are_published(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", ("URL", "Description", "Prompt", "GT"), ("u", "d", "p", "CWE-1"), ("u", "d", "p", " "))
    with pytest.raises(InputError, match=r"x\.tsv: row 1 \(line 3\): 'GT' is missing or empty"):
        cti_rcm.TASK.load(path)


def test_a_cut_off_file_is_not_read_as_a_shorter_one(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", ("URL", "Description", "Prompt", "GT"), ("u", "d", "p", "CWE-79"), ("u", "d", "pro"))
    with pytest.raises(InputError, match="row 1"):
        cti_rcm.TASK.load(path)
