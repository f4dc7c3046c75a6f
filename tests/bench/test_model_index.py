from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ctiforge.bench.model_index import build_model_index, render_model_index
from ctiforge.core.errors import InputError

INVENTED = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("invented_records.py"))))


def whole() -> dict[str, Any]:
    """A record whose every trial is valid."""
    choice = INVENTED.choice_task()
    choice["trials"] = [trial for trial in choice["trials"] if trial["valid"]]
    found: dict[str, Any] = INVENTED.record("Numbat-2B", INVENTED.cwe_task(), choice, INVENTED.vector_task())
    return found


def test_the_block_has_the_hub_s_shape() -> None:
    block = yaml.safe_load(render_model_index(whole(), "Numbat-2B"))
    assert list(block) == ["model-index"]
    (model,) = block["model-index"]
    assert model["name"] == "Numbat-2B"
    assert len(model["results"]) == 3
    for result in model["results"]:
        assert set(result) == {"task", "dataset", "metrics", "source"}
        assert set(result["task"]) == {"type", "name"}
        assert set(result["dataset"]) == {"name", "type", "split"}
        assert set(result["source"]) == {"name", "url"}
        for metric in result["metrics"]:
            assert set(metric) == {"type", "value", "name", "verified"}
            assert metric["verified"] is False
            assert isinstance(metric["value"], float)
        accuracy = result["metrics"][0]
        assert accuracy["type"] == "accuracy"
        assert 0 <= accuracy["value"] <= 1


def test_the_figures_are_the_record_s() -> None:
    rcm, mcq, vsp = build_model_index(whole(), "X")["model-index"][0]["results"]
    assert rcm["task"] == {"type": "text-classification", "name": "CWE Classification (CTI-RCM)"}
    assert rcm["dataset"] == {"name": "CTI-Bench", "type": "AI4Sec/cti-bench", "split": "cti-rcm"}
    assert rcm["metrics"][0] == {"type": "accuracy", "value": 0.75, "name": "strict accuracy (3-trial mean)", "verified": False}
    assert rcm["source"]["name"] == "ctiforge, foundation-sec-ift 1, rule last-cwe"
    assert mcq["task"]["type"] == "multiple-choice"
    assert mcq["metrics"][0]["value"] == 0.61
    assert vsp["metrics"][0]["name"] == "strict accuracy (single trial)"
    assert vsp["metrics"][1] == {
        "type": "mae",
        "value": 1.234,
        "name": "mean absolute deviation of the CVSS base score",
        "verified": False,
    }


def test_a_changed_setting_shows_in_the_metric_s_name() -> None:
    (result,) = build_model_index(INVENTED.usual()[1], "X")["model-index"][0]["results"]
    assert result["metrics"][0]["name"] == "strict accuracy (single trial, custom settings)"


def test_invalid_trials_are_not_published() -> None:
    with pytest.raises(InputError, match="cti-mcq") as caught:
        build_model_index(INVENTED.usual()[0], "X")
    assert "complete" in str(caught.value.fix)
    with pytest.raises(InputError):
        build_model_index(INVENTED.no_valid_trial(), "X")


def test_a_record_without_a_figure_is_refused() -> None:
    with pytest.raises(InputError, match="no task"):
        build_model_index(INVENTED.record("X"), "X")


def test_a_task_without_items_is_left_out() -> None:
    (result,) = build_model_index(INVENTED.nothing_answered(), "X")["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 0.0


def test_a_user_s_own_task_has_its_file_as_dataset_and_a_source_only_with_an_address() -> None:
    task = INVENTED.vector_task() | {"task": "our-own", "answer_kind": "text", "metrics": {}}
    record = INVENTED.record("X", task)
    (result,) = build_model_index(record, "X")["model-index"][0]["results"]
    assert result["task"] == {"type": "text-generation", "name": "our-own"}
    assert result["dataset"] == {"name": "cti-vsp.tsv", "type": "custom", "split": "our-own"}
    assert "source" not in result
    (result,) = build_model_index(record, "X", source_url="https://example.org/r")["model-index"][0]["results"]
    assert result["source"]["url"] == "https://example.org/r"


def test_foreign_names_do_not_break_the_yaml() -> None:
    name = "x: [y]\n- z: '\"#\u2028"
    block = yaml.safe_load(render_model_index(whole(), name))
    assert block["model-index"][0]["name"] == name


def test_a_newer_record_is_refused() -> None:
    with pytest.raises(InputError, match="newer"):
        build_model_index(whole() | {"format": "ctiforge-benchmark/2"}, "X")


def test_the_hub_s_own_library_reads_it() -> None:
    repocard = pytest.importorskip("huggingface_hub.repocard_data", reason="huggingface_hub is not installed")
    model, results = repocard.model_index_to_eval_results(
        yaml.safe_load(render_model_index(whole(), "Numbat-2B"))["model-index"]
    )
    assert model == "Numbat-2B"
    found = {(each.dataset_split, each.metric_type): (each.metric_value, each.verified) for each in results}
    assert found["cti-rcm", "accuracy"] == (0.75, False)
    assert found["cti-mcq", "accuracy"] == (0.61, False)
