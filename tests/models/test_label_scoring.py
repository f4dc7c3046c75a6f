"""Label scores are the probabilities of writing the labels under a grammar that allows no other text."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctiforge.core.errors import SettingError
from ctiforge.core.messages import ChatMessage
from ctiforge.models.generation import GenerationRequest
from ctiforge.models.label_scoring import LabelScorer, LabelTrie
from ctiforge.models.tiny_random import write_tiny_random

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

LABELS = [f"CWE-{number}" for number in (7, 79, 798, 78, 89, 20, 200, 287, 1321, 1336, 862, 863)]
PROMPTS = ["SQL injection in the login form", "A buffer overflow in the parser of Example 1.2 allows more", "?"]


def loaded(folder: Path, family: Any, *, window: int = 16) -> Any:
    from ctiforge.models.transformers_batch import LoadedModel

    model = write_tiny_random(folder / family, family)
    config = model / "config.json"
    config.write_text(config.read_text("utf-8").replace('"sliding_window": 16', f'"sliding_window": {window}'), "utf-8")
    return LoadedModel.load(model, None, dtype="fp32", device="cpu")


def by_brute_force(model: Any, prompt: list[int], labels: list[str]) -> np.ndarray[Any, Any]:
    """Return the probability of each label: at each token, the share among the tokens that some label goes on with."""
    rows = [[*model.tokenizer(label, add_special_tokens=False)["input_ids"], None] for label in labels]
    found = []
    for row in rows:
        probability = 1.0
        for place, token in enumerate(row):
            allowed = list(dict.fromkeys(other[place] for other in rows if other[:place] == row[:place]))
            with torch.no_grad():
                logits = model.model(torch.tensor([prompt + row[:place]])).logits[0, -1]
            ends = torch.logsumexp(logits[list(model.end_tokens)], 0)
            scores = torch.stack([ends if each is None else logits[each] for each in allowed])
            probability *= float(torch.softmax(scores, 0)[allowed.index(token)])
        found.append(probability)
    return np.array(found)


@pytest.mark.parametrize("family", ["gemma3", "gemma4", "qwen3"])
def test_the_scores_are_those_of_brute_force(family: Any, tmp_path: Path) -> None:
    model = loaded(tmp_path, family)
    prompts = [model.tokenizer(text)["input_ids"] for text in PROMPTS]
    scores = LabelScorer(model, LABELS, floor=0).score(prompts)
    expected = np.array([by_brute_force(model, prompt, LABELS) for prompt in prompts])
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("family", ["gemma3", "gemma4", "qwen3"])
def test_what_all_prompts_begin_with_is_read_once(family: Any, tmp_path: Path) -> None:
    model = loaded(tmp_path, family, window=512)
    task = "Analyze the following description of a vulnerability and name the weakness that is its root cause: "
    prompts = [model.tokenizer(task + text)["input_ids"] for text in PROMPTS]
    scorer = LabelScorer(model, LABELS, floor=0)
    read: list[int] = []
    scorer._decoder.register_forward_pre_hook(lambda _, __, words: read.append(words["input_ids"].numel()), with_kwargs=True)
    scores = [scorer.score(prompts) for _ in range(2)]
    alone = np.concatenate([scorer.score([prompt]) for prompt in prompts])
    np.testing.assert_allclose(scores[0], alone, atol=1e-5)
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-6)
    assert max(read[: len(read) // 2]) < sum(map(len, prompts)), "the task was read with every prompt"


def test_a_floor_leaves_the_likely_labels_as_they_are(tmp_path: Path) -> None:
    model = loaded(tmp_path, "gemma3")
    prompts = [model.tokenizer(text)["input_ids"] for text in PROMPTS]
    whole = LabelScorer(model, LABELS, floor=0).score(prompts)
    pruned = LabelScorer(model, LABELS, floor=0.2).score(prompts)
    np.testing.assert_allclose(pruned.sum(1), 1, atol=1e-6)
    assert np.abs(pruned - whole).max() < 0.2
    assert np.abs(pruned - whole).max() > 0, "something was not followed"


def test_the_trie_begins_where_the_labels_part() -> None:
    trie = LabelTrie([[5, 6, 7], [5, 6, 8], [5, 6]])
    assert trie.prefix == [5, 6]
    assert set(trie.root.children) == {7, 8, -1}
    for labels in ([], [[1], [1]], [[1], []]):
        with pytest.raises(SettingError, match="labels must be different"):
            LabelTrie(labels)


def test_many_choices_are_answered_as_labels(tmp_path: Path) -> None:
    from ctiforge.models.transformers_local import TransformersModel

    folder = write_tiny_random(tmp_path / "tiny")
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}<eos>", "utf-8")
    labels = tuple(f"CWE-{number}" for number in range(100, 140))

    async def ask() -> Any:
        model = TransformersModel(folder, dtype="fp32", device="cpu")
        try:
            return await model.generate(GenerationRequest(messages=(ChatMessage("user", "Which?"),), choices=labels))
        finally:
            await model.close()

    reply = asyncio.run(ask())
    assert reply.choice_logprobs is not None
    assert set(reply.choice_logprobs) == set(labels)
    assert sum(np.exp(list(reply.choice_logprobs.values()))) == pytest.approx(1, abs=1e-4)
    assert reply.text == reply.ranked[0] == max(reply.choice_logprobs, key=reply.choice_logprobs.get)
    assert reply.confidence == pytest.approx(np.exp(reply.choice_logprobs[reply.text]))
