"""Prompts and labels under the chat templates of the bases: the loss is on the completion and the end of its turn only."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctiforge.core.errors import ModelError
from ctiforge.models.tiny_random import write_tiny_random
from ctiforge.train.chat_examples import IGNORED, TurnEncoder, encode_examples, last_line

transformers = pytest.importorskip("transformers")
trl = pytest.importorskip("trl")

TEMPLATES = {
    "gemma3": "<end_of_turn>",
    "gemma4": "<turn|>",
    "gemma4_v5": "<turn|>",
    "qwen3": "<|im_end|>",
    "qwen3_instruct_2507": "<|im_end|>",
    "ours": "<end_of_turn>",
}
"""Templates as the package trl carries them, with the token that ends a turn; and our own."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_random(tmp_path_factory.mktemp("tiny") / "model")


def tokenizer_with(folder: Path, template: str) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if template == "ours":
        tokenizer.chat_template = (resources.files("ctiforge.recipes") / "templates" / "gemma.jinja").read_text("utf-8")
    else:
        tokenizer.chat_template = (resources.files("trl") / "chat_templates" / f"{template}.jinja").read_text("utf-8")
    return tokenizer


@pytest.mark.parametrize(("template", "end"), TEMPLATES.items())
def test_the_label_mask_covers_the_answer_and_the_end_of_its_turn(folder: Path, template: str, end: str) -> None:
    tokenizer = tokenizer_with(folder, template)
    record = {"id": "rcm/1", "prompt": "Name the CWE of a SQL injection.", "completion": "By its words.\n\nCWE-89"}
    made = encode_examples([record], TurnEncoder(tokenizer, "tiny"), 512).examples[0]
    learnt = [token for token in made.labels if token != IGNORED]
    assert tokenizer.decode(learnt) == f"By its words.\n\nCWE-89{end}"
    assert made.labels[len(made.labels) - len(learnt) :] == learnt, "the answer stands at the end, in one piece"
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": record["prompt"]}], tokenize=False, add_generation_prompt=True
    )
    assert tokenizer.decode(made.input_ids[: -len(learnt)]) == asked, "the prompt is what the model is asked later"


def test_our_template_writes_what_that_of_gemma_3_writes(folder: Path) -> None:
    turns = [
        {"role": "user", "content": " Name the CWE. "},
        {"role": "assistant", "content": "CWE-89"},
        {"role": "user", "content": "Why?"},
    ]
    for messages in (turns, [{"role": "system", "content": "Be brief."}, *turns]):
        for prompt in (True, False):
            ours, theirs = (
                tokenizer_with(folder, name).apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
                for name in ("ours", "gemma3")
            )
            assert ours == theirs


def test_a_base_without_a_template_is_refused(folder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with pytest.raises(ModelError, match="has no chat template"):
        TurnEncoder(tokenizer, "tiny")


def test_a_template_that_never_ends_a_turn_is_refused(folder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    with pytest.raises(ModelError, match="no special token after an answer"):
        TurnEncoder(tokenizer, "tiny")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(max_size=300), completion=st.text(min_size=1, max_size=60), room=st.integers(40, 200))
def test_no_example_is_longer_than_allowed_and_none_is_lost_uncounted(
    folder: Path, prompt: str, completion: str, room: int
) -> None:
    encoder = TurnEncoder(tokenizer_with(folder, "ours"), "tiny")
    whole = len(encoder.prompt(prompt)) + len(encoder.completions([completion])[0])
    made = encode_examples([{"id": "1", "prompt": prompt, "completion": completion}], encoder, room)
    assert len(made.examples) + made.counts.get("completion too long, left out", 0) == 1
    for each in made.examples:
        assert len(each.input_ids) <= room
        assert list(each.input_ids[-each.completion_tokens :]) == encoder.completions([completion])[0], "an answer is never cut"
        assert ("prompt shortened" in made.counts) == (whole > room)


def test_the_last_line_is_the_answer() -> None:
    assert last_line('The words "SQL" decide.\n\nCWE-89\n') == "CWE-89"
    assert last_line("B") == "B"
