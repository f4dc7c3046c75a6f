"""The leaderboard and the file of published figures."""

from __future__ import annotations

import contextlib
import os
import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.leaderboard import render_leaderboard
from ctiforge.bench.published import METRICS, PublishedScore, load_published
from ctiforge.core.errors import InputError

GOLDEN = Path(__file__).with_name("golden") / "leaderboard.md"
INVENTED = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("invented_records.py"))))

PUBLISHED = """\
format: ctiforge-published/1
sources:
  - id: dingo
    citation: "Dingo et al.: Invented figures, 2099"
    url: https://example.org/dingo
    where: Table 1
    reported_by: self
    protocol: zero-shot
    trials: 5
    metrics: {cti-vsp: mean_absolute_deviation}
    models:
      - {model: Dingo-3B, size: 3B, scores: {cti-rcm: {value: 0.61, std: 0.01}, cti-vsp: 1.5}}
      - {model: Dingo-9B, size: 9B, scores: {cti-rcm: 0.995, cti-vsp: 1.25}}
  - id: emu
    citation: "Emu: <script>alert(1)</script> | re-run"
    url: https://example.org/emu
    where: README
    reported_by: re-run
    protocol: one run
    metrics: {cti-vsp: cvss_score}
    models:
      - model: Dingo-3B
        size: 3B
        note: on half of the items
        n: {cti-rcm: 500}
        scores: {cti-rcm: 0.55, cti-vsp: 0.8, own-task: 0.5}
"""


@pytest.fixture
def published(tmp_path: Path) -> tuple[PublishedScore, ...]:
    return load(tmp_path, PUBLISHED)


def load(folder: Path, text: str) -> tuple[PublishedScore, ...]:
    path = folder / "published.yaml"
    path.write_text(text)
    return load_published(path)


def section(text: str, task: str, kind: str) -> str:
    part = text.split(f"\n## {task}\n", 1)[1].split("\n## ", 1)[0]
    return part.split(f"### {kind}\n", 1)[1].split("\n### ", 1)[0]


def test_leaderboard_is_the_golden_file(published: tuple[PublishedScore, ...]) -> None:
    text = render_leaderboard([*INVENTED.usual(), INVENTED.no_valid_trial(), INVENTED.hostile()], published)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_bytes(text.encode())
    assert text.encode() == GOLDEN.read_bytes()


def test_equal_input_gives_equal_text(published: tuple[PublishedScore, ...]) -> None:
    assert render_leaderboard(INVENTED.usual(), published) == render_leaderboard(INVENTED.usual(), published)


def test_published_and_measured_are_never_in_one_table(published: tuple[PublishedScore, ...]) -> None:
    text = render_leaderboard(INVENTED.usual(), published)
    measured, quoted = section(text, "cti-rcm", "Measured here"), section(text, "cti-rcm", "Published, not measured here")
    assert "Numbat" in measured
    assert "Dingo" not in measured
    assert "Dingo" in quoted
    assert "Numbat" not in quoted
    for block in re.findall(r"(?m)(?:^\|.*\n)+", text):
        assert not ("Dingo" in block and ("Numbat" in block or "Wombat" in block))


def test_models_that_look_things_up_have_a_table_of_their_own(published: tuple[PublishedScore, ...]) -> None:
    numbat, *others = INVENTED.usual()
    opened = INVENTED.changed(numbat, model={**numbat["model"], "name": "Bookworm", "settings": {"open_book": True}})
    text = render_leaderboard([numbat, opened, *others], published)
    assert "Bookworm" not in section(text, "cti-rcm", "Measured here")
    apart = section(text, "cti-rcm", "Measured here, open book")
    assert "Bookworm (open book)" in apart
    assert "Numbat" not in apart


def test_rows_are_sorted_by_accuracy_and_deviation_the_other_way(published: tuple[PublishedScore, ...]) -> None:
    text = render_leaderboard([INVENTED.no_valid_trial(), *reversed(INVENTED.usual())], published)
    measured = section(text, "cti-rcm", "Measured here")
    assert measured.index("Numbat-2B") < measured.index("Wombat-270M") < measured.index("Quokka-1B")
    assert re.findall(r"\| (0\.\d+)", section(text, "cti-rcm", "Published, not measured here")) == ["0.995", "0.610", "0.550"]
    vsp = section(text, "cti-vsp", "Published, not measured here")
    assert vsp.index("CVSS score") < vsp.index("mean absolute deviation, lower is better")
    assert vsp.index("1.25") < vsp.index("1.50")


def test_a_row_says_where_it_comes_from(published: tuple[PublishedScore, ...]) -> None:
    text = render_leaderboard(INVENTED.usual(), published)
    row = next(line for line in text.splitlines() if line.startswith("| Wombat-270M"))
    for part in (
        "efefefefefef",
        "0.6000 ± –",
        "0.530–0.665",
        "200",
        "greedy 1 (custom)",
        "last-cwe",
        "6374692d7263",
        "0123456789",
    ):
        assert part in row
    quoted = section(text, "cti-rcm", "Published, not measured here")
    assert "| Dingo-3B | 3B | 0.610 ± 0.010 | 5 | zero-shot | its makers | (1) Table 1 |" in quoted
    assert "one run; n = 500; on half of the items | others (re-run) | (2) README" in quoted
    assert "1. Dingo et al.: Invented figures, 2099. <https://example.org/dingo>" in text
    assert "<script" not in text


def test_no_valid_trial_is_no_score(published: tuple[PublishedScore, ...]) -> None:
    text = render_leaderboard([INVENTED.no_valid_trial()], published)
    row = next(line for line in text.splitlines() if line.startswith("| Quokka-1B"))
    assert "no valid trial" in row
    assert "0 of 2 valid" in row
    assert not re.search(r"0\.98|0\.99|1\.000", row)


def test_caveats_stand_before_the_figures(published: tuple[PublishedScore, ...]) -> None:
    text = render_leaderboard([], published)
    rcm = text.split("\n## cti-rcm\n")[1]
    assert rcm.index("cannot exceed 0.928") < rcm.index("| Dingo-9B")
    assert "No record yet." in rcm
    mcq = render_leaderboard(INVENTED.usual(), ()).split("\n## cti-mcq\n")[1]
    assert "answering C every time scores 0.371" in mcq
    assert "Sources of the published figures" not in mcq


def test_a_newer_record_is_refused(published: tuple[PublishedScore, ...]) -> None:
    with pytest.raises(InputError, match="newer"):
        render_leaderboard([INVENTED.record("X") | {"format": "ctiforge-benchmark/2"}], published)


def test_every_fault_of_a_file_is_found_at_once(tmp_path: Path) -> None:
    text = (
        PUBLISHED.replace("value: 0.61", "value: 61")
        .replace("reported_by: re-run", "reported_by: rerun")
        .replace("url: https://example.org/dingo", "url: http://example.org/dingo")
        .replace("    protocol: zero-shot\n", "")
        .replace("cti-vsp: cvss_score", "cti-vsp: cvss_scor")
        .replace("model: Dingo-9B, size: 9B", "model: Dingo-9B, sice: 9B")
        .replace("id: emu", "id: dingo")
        .replace("trials: 5", "trials: five")
    )
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    for fault in (
        "value 61 is not a number from 0 to 1",
        "reported_by is 'rerun'",
        "does not begin with https://",
        "protocol is missing",
        "did you mean 'cvss_score'",
        "unknown key 'sice'; did you mean 'size'",
        "size is missing",
        "source 'dingo': given 2 times",
        "trials is 'five'",
    ):
        assert fault in caught.value.message, caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format: ctiforge-published/2\nsources: []\n", "not a file of published figures"),
        ("- a list", "not a file of published figures"),
        ("format: [", "not YAML"),
        (PUBLISHED.replace("size: 9B,", "size: 9B, size: 8B,"), "size given twice"),
        (PUBLISHED.replace("Dingo-9B, size: 9B", "Dingo-3B, size: 3B"), "given 2 times by one source"),
        (PUBLISHED.replace("scores: {cti-rcm: 0.995, cti-vsp: 1.25}", "scores: {}"), "no scores"),
        (PUBLISHED.replace("cti-rcm: 0.995", "cti-rcm: .nan"), "is not a number"),
        (PUBLISHED.replace("cti-rcm: 0.995", "cti-rcm: true"), "is not a number"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load(tmp_path, text)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a", "dingo", "cti-rcm", "accuracy", "self"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "model", "models", "scores", "value", "std", "n", "metrics", "trials", "cti-rcm", "size", "url"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(sources=st.lists(ODD, max_size=3), extra=ODD)
def test_whatever_a_file_holds_it_is_read_or_refused(sources: list[object], extra: object, tmp_path_factory: Any) -> None:
    whole = yaml.safe_load(PUBLISHED)
    whole["sources"][0]["models"].append(extra)
    for data in ({"format": "ctiforge-published/1", "sources": sources}, whole):
        path = tmp_path_factory.mktemp("published") / "published.yaml"
        path.write_text(yaml.safe_dump(data))
        with contextlib.suppress(InputError):
            load_published(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_published(tmp_path / "none.yaml")


def test_a_model_s_own_null_takes_the_source_s_value_away(tmp_path: Path) -> None:
    text = PUBLISHED.replace("model: Dingo-9B,", "model: Dingo-9B, trials: null,")
    assert {score.model: score.trials for score in load(tmp_path, text) if score.reported_by == "self"} == {
        "Dingo-3B": 5,
        "Dingo-9B": None,
    }


def test_the_shipped_figures_are_sound_and_all_cited() -> None:
    scores = load_published()
    assert len(scores) > 400
    assert {score.metric for score in scores} <= set(METRICS)
    assert all(score.citation and score.where and score.url.startswith("https://") for score in scores)


@pytest.mark.parametrize(
    ("model", "task", "value", "std", "reported_by"),
    [
        ("Gemma4Defense-2B", "cti-rcm", 0.6754, 0.0035, "self"),
        ("Gemma4Defense-2B", "cti-mcq", 0.6042, 0.0090, "self"),
        ("CyberSecQwen-4B", "cti-rcm", 0.6664, 0.0023, "self"),
        ("Foundation-Sec-8B-Instruct", "cti-rcm", 0.692, 0.005, "self"),
        ("Foundation-Sec-8B-Reasoning", "cti-rcm", 0.753, 0.008, "self"),
        ("CyberPal-2.0-4B", "cti-rcm", 0.8115, None, "self"),
        ("CyberPal-2.0-20B", "cti-mcq", 0.738, None, "re-run"),
        ("DeepSeek V4.1 Flash", "cti-rcm", 0.765, None, "re-run"),
        ("GPT-6 Luna", "cti-mcq", 0.81, None, "re-run"),
        ("GPT-4", "cti-taa", 0.52, None, "re-run"),
        ("Qwen3-4B-Instruct-2507", "athena-rcm", 0.454, None, "re-run"),
    ],
)
def test_shipped_figures_are_those_of_their_sources(
    model: str, task: str, value: float, std: float | None, reported_by: str
) -> None:
    assert any(
        (score.model, score.task, score.value, score.std, score.reported_by) == (model, task, value, std, reported_by)
        for score in load_published()
    )


def test_figures_by_retrieval_say_that_they_are() -> None:
    looked_up = [score for score in load_published() if "CTI-RAG" in score.model]
    assert looked_up
    assert all("retrieval" in score.protocol and "look-up" in score.note for score in looked_up)


def test_the_file_holds_no_key_that_is_not_read() -> None:
    file = Path(__file__).resolve().parents[2] / "src" / "ctiforge" / "bench" / "published.yaml"
    data = yaml.safe_load(file.read_text())
    assert sum(len(model["scores"]) for source in data["sources"] for model in source["models"]) == len(load_published())
