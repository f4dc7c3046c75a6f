"""What every format promises: streaming, whole records, no memory of earlier runs, safe characters."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest

from ctiforge.classify.outputs import (
    ABSTAIN_SENTENCES,
    OUTPUTS,
    OutputOptions,
    OutputOptionsError,
    Renderer,
    find_output,
)
from ctiforge.classify.outputs.sentences import prefer_text, probability_text
from ctiforge.classify.prediction import Prediction, Suggestion

LINE_FORMATS = [name for name, output in OUTPUTS.items() if output.line_based]
DOCUMENT_FORMATS = [name for name, output in OUTPUTS.items() if not output.line_based]


def make(name: str, options: OutputOptions) -> Renderer:
    return OUTPUTS[name].renderer(options)


@pytest.mark.parametrize("name", LINE_FORMATS)
def test_line_formats_are_whole_after_every_record(
    name: str, options: OutputOptions, batch: tuple[Prediction, ...], hostile: Prediction
) -> None:
    renderer = make(name, options)
    assert renderer.begin()[-1:] in ("", "\n")
    for prediction in (*batch, hostile):
        text = renderer.render(prediction)
        assert text == "" or text.endswith("\n")
    assert renderer.end() == ""


@pytest.mark.parametrize("name", ["jsonl", "cve-adp", "csv", "markdown"])
def test_one_physical_line_a_record(
    name: str, options: OutputOptions, batch: tuple[Prediction, ...], hostile: Prediction
) -> None:
    renderer = make(name, replace(options, adp_always=True))
    renderer.begin()
    for prediction in (*batch, hostile):
        assert renderer.render(prediction).count("\n") <= 1
        assert not set(renderer.render(prediction)) & set("\r\x0b\x0c\x85\u2028\u2029")


@pytest.mark.parametrize("name", DOCUMENT_FORMATS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_documents_parse_with_any_number_of_records(
    name: str, count: int, options: OutputOptions, batch: tuple[Prediction, ...]
) -> None:
    renderer = make(name, options)
    json.loads(renderer.begin() + "".join(map(renderer.render, batch[:count])) + renderer.end())


@pytest.mark.parametrize("name", OUTPUTS)
def test_two_runs_give_equal_text(name: str, options: OutputOptions, batch: tuple[Prediction, ...]) -> None:
    first, second = make(name, options), make(name, options)
    assert [first.begin(), *map(first.render, batch), first.end()] == [second.begin(), *map(second.render, batch), second.end()]


@pytest.mark.parametrize("name", OUTPUTS)
def test_nothing_that_a_terminal_obeys_gets_through(name: str, options: OutputOptions, hostile: Prediction) -> None:
    renderer = make(name, options)
    text = renderer.begin() + renderer.render(hostile) + renderer.end()
    text.encode()  # lone surrogates would fail here
    assert not set(text) & set("\x1b\x07\x9b\u202e")


@pytest.mark.parametrize("name", LINE_FORMATS)
def test_records_of_line_formats_depend_on_no_other(
    name: str, options: OutputOptions, batch: tuple[Prediction, ...], hostile: Prediction
) -> None:
    predictions = (*batch, hostile)
    together = make(name, options)
    assert [together.render(each) for each in predictions] == [make(name, options).render(each) for each in predictions]


@pytest.mark.parametrize("name", OUTPUTS)
def test_environment_does_not_change_the_output(
    name: str, options: OutputOptions, batch: tuple[Prediction, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [make(name, options).render(each) for each in batch]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "dumb")
    assert [make(name, options).render(each) for each in batch] == before


def test_left_out_counts_by_reason(options: OutputOptions, batch: tuple[Prediction, ...]) -> None:
    renderer = make("cve-adp", options)
    lines = [renderer.render(each) for each in batch]
    assert [bool(line) for line in lines] == [False, True, False, False, False]
    assert renderer.left_out == {"the CNA assigned a CWE": 1, "no suggestion": 2, "no CVE ID": 1}


@pytest.mark.parametrize("name", ["table", "jsonl", "json", "csv", "markdown", "csaf"])
def test_formats_with_room_for_everything_leave_nothing_out(
    name: str, options: OutputOptions, batch: tuple[Prediction, ...]
) -> None:
    renderer = make(name, options)
    text = renderer.begin() + "".join(map(renderer.render, batch)) + renderer.end()
    assert renderer.left_out == {}
    assert all(each.id in text for each in batch)


def test_unknown_format_names_the_nearest() -> None:
    with pytest.raises(OutputOptionsError, match="did you mean 'csaf'"):
        find_output("casf")
    assert find_output("nvd") is OUTPUTS["nvd"]


def test_options_refuse_what_no_format_can_carry(options: OutputOptions) -> None:
    with pytest.raises(OutputOptionsError, match="version 4 UUID"):
        replace(options, org_id="00000000-0000-0000-0000-000000000000")
    with pytest.raises(OutputOptionsError, match="is not a URL"):
        replace(options, publisher_namespace="psirt.example.org")
    with pytest.raises(ValueError, match="time zone"):
        replace(options, generated_at=datetime(2099, 1, 1))
    with pytest.raises(ValueError, match="top_k"):
        replace(options, top_k=0)


def test_sentences_cover_every_reason() -> None:
    from typing import get_args

    from ctiforge.classify.prediction import AbstainReason

    assert set(ABSTAIN_SENTENCES) == set(get_args(AbstainReason))
    assert all(text.endswith(".") for text in ABSTAIN_SENTENCES.values())


@pytest.mark.parametrize(
    ("probability", "text"), [(0.5, "0.50"), (0.996, ">.99"), (1.0, "1.00"), (0.004, "<.01"), (0.0, "0.00"), (0.99, "0.99")]
)
def test_probability_text_never_claims_certainty(probability: float, text: str) -> None:
    assert probability_text(probability) == text


@pytest.mark.parametrize(
    ("prefer", "text"),
    [
        ((), "prefer a more specific entry"),
        (("CWE-78",), "prefer CWE-78"),
        (("CWE-787", "CWE-125"), "prefer CWE-787 or CWE-125"),
        (("CWE-862", "CWE-863", "CWE-306"), "prefer CWE-862, CWE-863 or CWE-306"),
        (("CWE-862", "CWE-863", "CWE-306", "CWE-732", "CWE-923"), "prefer CWE-862, CWE-863, CWE-306 or 2 more"),
    ],
)
def test_prefer_text_names_three(prefer: tuple[str, ...], text: str) -> None:
    assert prefer_text(Suggestion("CWE-284", "Improper Access Control", 0.2, "Discouraged", prefer=prefer)) == text
