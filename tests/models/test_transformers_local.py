from __future__ import annotations

import asyncio
import math
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ctiforge.core.errors import ModelError, SettingError
from ctiforge.core.files import sha256
from ctiforge.core.messages import ChatMessage
from ctiforge.models import transformers_batch, transformers_local
from ctiforge.models.generation import Generation, GenerationRequest, TextModel
from ctiforge.models.transformers_local import TransformersModel, folder_digest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}>{% endif %}"
)


def byte_tokenizer() -> Any:
    """A tokenizer with one token a byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<pad>", "<s>", "</s>", *alphabet]
    tokenizer = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", clean_up_tokenization_spaces=False
    )
    wrapped.chat_template = TEMPLATE
    return wrapped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of two layers in the Hugging Face layout, with sampling settings of its own that must not apply."""
    path = tmp_path_factory.mktemp("models") / "tiny-llama"
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=259, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        initializer_range=0.4,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    model.generation_config.update(do_sample=True, temperature=0.7, top_k=1, repetition_penalty=5.0)
    model.save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    peft = pytest.importorskip("peft")
    path = tmp_path_factory.mktemp("adapters") / "tiny-lora"
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    torch.manual_seed(1)
    config = peft.LoraConfig(
        r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        peft.get_peft_model(base, config).save_pretrained(path)
    return path


def use(model: TransformersModel, work: Callable[[TransformersModel], Any]) -> Any:
    async def go() -> Any:
        try:
            return await work(model)
        finally:
            await model.close()

    return asyncio.run(go())


def ask(model: TransformersModel, *requests: GenerationRequest) -> list[Generation]:
    """Ask everything at once, when the model is loaded, so that it comes in one batch if it can."""

    async def work(model: TransformersModel) -> list[Generation]:
        await model.info()
        return await asyncio.gather(*(model.generate(request) for request in requests))

    replies: list[Generation] = use(model, work)
    return replies


def reference(folder: Path, prompt: str, new: int) -> str:
    """Greedy completion by a plain loop, without batch, padding or cache."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = tokenizer(prompt)["input_ids"]
    start = len(ids)
    with torch.inference_mode():
        for _ in range(new):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    text: str = tokenizer.decode(ids[start:])
    return text


def test_it_is_a_text_model(folder: Path) -> None:
    assert isinstance(TransformersModel(folder), TextModel)


def test_greedy_is_what_a_plain_loop_gives_in_any_batch(folder: Path) -> None:
    prompts = ["CWE", "A much longer prompt, so that the others are padded. Answer:", "x"]
    requests = [GenerationRequest(prompt=prompt, max_tokens=6) for prompt in prompts]
    together = ask(TransformersModel(folder), *requests)
    alone = [ask(TransformersModel(folder, batch_size=1), request)[0] for request in requests]
    expected = [reference(folder, prompt, 6) for prompt in prompts]
    assert [reply.text for reply in together] == [reply.text for reply in alone] == expected
    assert [reply.finish_reason for reply in together] == ["length"] * 3
    assert [(reply.prompt_tokens, reply.completion_tokens) for reply in together] == [(3, 6), (len(prompts[1]), 6), (1, 6)]


def test_requests_that_wait_together_share_a_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counting(model: Any, requests: Any) -> list[Generation]:
        sizes.append(len(requests))
        return transformers_batch.answer_batch(model, requests)

    monkeypatch.setattr(transformers_local, "answer_batch", counting)
    requests = [GenerationRequest(prompt=f"{number}", max_tokens=2) for number in range(10)]
    replies = ask(TransformersModel(folder, batch_size=4), *requests)
    assert sizes == [4, 4, 2]
    assert all(reply.error is None for reply in replies)


def test_a_seed_gives_the_same_text_in_whatever_batch(folder: Path) -> None:
    seeded = [GenerationRequest(prompt="CWE", max_tokens=8, temperature=1.0, seed=seed) for seed in (1, 2, 1)]
    one, two, again = ask(TransformersModel(folder), *seeded)
    assert one.text == again.text != two.text
    greedy, mixed = ask(TransformersModel(folder), GenerationRequest(prompt="CWE", max_tokens=8), seeded[0])
    assert mixed.text == one.text
    assert greedy.text == reference(folder, "CWE", 8)


def test_samples_follow_the_distribution_at_the_temperature(folder: Path) -> None:
    loaded = transformers_batch.LoadedModel.load(folder, None, dtype="fp32", device="cpu")
    draws = 1500
    requests = [GenerationRequest(prompt="CWE", max_tokens=1, temperature=0.5, seed=seed) for seed in range(draws)]
    counts = Counter(reply.text for reply in transformers_batch.answer_batch(loaded, requests))
    with torch.inference_mode():
        logits = loaded.model(torch.tensor([loaded.tokenizer("CWE")["input_ids"]])).logits[0, -1]
    expected: Counter[str] = Counter()
    for token, p in enumerate(torch.softmax(logits / 0.5, dim=-1).tolist()):
        expected[loaded.tokenizer.decode([token], skip_special_tokens=True)] += p  # half a character is U+FFFD, whatever half
    for text, p in expected.most_common(5):
        assert counts[text] / draws == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / draws))


def test_stop_sequences_end_a_row_and_are_not_part_of_it(folder: Path) -> None:
    whole = ask(TransformersModel(folder), GenerationRequest(prompt="CWE", max_tokens=12))[0].text
    stop = whole[5:7]
    first = whole.index(stop)
    requests = [
        GenerationRequest(prompt="CWE", max_tokens=12, stop=("never", stop)),
        GenerationRequest(prompt="CWE", max_tokens=12),
        GenerationRequest(prompt="CWE", max_tokens=3),
    ]
    replies = ask(TransformersModel(folder), *requests)
    assert [reply.text for reply in replies[:2]] == [whole[:first], whole]
    assert [reply.finish_reason for reply in replies] == ["stop", "length", "length"]
    assert [reply.completion_tokens for reply in replies[1:]] == [12, 3]
    assert replies[0].completion_tokens is not None
    assert replies[0].completion_tokens < 12


def test_an_end_token_ends_the_completion(folder: Path, tmp_path: Path) -> None:
    """The token that comes third is declared to be an end token."""
    ended = tmp_path / "ended"
    shutil.copytree(folder, ended)
    tokenizer = byte_tokenizer()
    first = ask(TransformersModel(folder), GenerationRequest(prompt="CWE", max_tokens=3))[0].text
    third = tokenizer(first)["input_ids"][2]
    settings = orjson.loads((ended / "generation_config.json").read_bytes())
    (ended / "generation_config.json").write_bytes(orjson.dumps(settings | {"eos_token_id": [2, third]}))
    reply = ask(TransformersModel(ended), GenerationRequest(prompt="CWE", max_tokens=9))[0]
    assert (reply.finish_reason, reply.completion_tokens) == ("stop", 3)
    assert first.startswith(reply.text)


def test_a_conversation_goes_through_the_chat_template_once(folder: Path) -> None:
    messages = (ChatMessage("system", "Be brief."), ChatMessage("user", "CWE?"))
    rendered = "[system] Be brief.\n[user] CWE?\n>"
    reply = ask(TransformersModel(folder), GenerationRequest(messages=messages, max_tokens=5))[0]
    assert reply.prompt_tokens == 1 + len(rendered)  # one <s>
    assert reply.text == reference(folder, f"<s>{rendered}", 5)


def test_a_model_without_a_chat_template_says_what_to_use(folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(folder, base)
    (base / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template") as caught:
        ask(TransformersModel(base), GenerationRequest(messages=(ChatMessage("user", "hi"),)))
    assert "foundation-sec-base" in str(caught.value.fix)
    assert use(TransformersModel(base), lambda model: model.info()).chat_template_sha256 is None


def test_choices_are_scored_as_they_are_and_after_a_space(folder: Path) -> None:
    choices = ("A", "B", "CWE-79")
    request = GenerationRequest(prompt="Answer:", choices=choices)
    others = [GenerationRequest(prompt="A longer prompt. Answer:", choices=("A",)), GenerationRequest(prompt="x", max_tokens=1)]
    reply, longer, generated = ask(TransformersModel(folder), request, *others)
    loaded = transformers_batch.LoadedModel.load(folder, None, dtype="fp32", device="cpu")

    def probability(text: str) -> float:
        start, tokens = loaded.tokenizer("Answer:")["input_ids"], loaded.tokenizer(text)["input_ids"]
        with torch.inference_mode():
            logprobs = torch.log_softmax(loaded.model(torch.tensor([start + tokens])).logits[0], dim=-1)
        return math.exp(sum(float(logprobs[len(start) - 1 + place, token]) for place, token in enumerate(tokens)))

    expected = {choice: math.log(probability(choice) + probability(f" {choice}")) for choice in choices}
    assert reply.choice_logprobs == pytest.approx(expected, abs=1e-4)
    assert reply.text == max(expected, key=expected.__getitem__)
    assert set(longer.choice_logprobs or {}) == {"A"}
    assert generated.choice_logprobs is None


def test_a_prompt_too_long_is_refused_and_others_are_answered(folder: Path) -> None:
    long, short = ask(
        TransformersModel(folder), GenerationRequest(prompt="x" * 128), GenerationRequest(prompt="x" * 120, max_tokens=50)
    )
    assert long.error is not None
    assert long.error.kind == "refused"
    assert "128 tokens" in long.error.message
    assert (short.finish_reason, short.completion_tokens) == ("length", 8)


def test_an_adapter_changes_answers_name_and_digest(folder: Path, adapter: Path) -> None:
    def describe(model: TransformersModel) -> Any:
        async def work(model: TransformersModel) -> Any:
            return await model.info(), await model.generate(GenerationRequest(prompt="CWE", max_tokens=8))

        return use(model, work)

    plain, tuned = describe(TransformersModel(folder)), describe(TransformersModel(folder, adapter))
    assert plain[1].text != tuned[1].text
    assert (plain[0].name, tuned[0].name) == ("tiny-llama", "tiny-llama+tiny-lora")
    assert plain[0].digest != tuned[0].digest
    assert tuned[0].settings == plain[0].settings | {"adapter": "tiny-lora"}
    assert plain[0].settings == {"dtype": "float32", "device": "cpu", "attention": "sdpa", "batch_size": 8}
    assert plain[0].chat_template_sha256 == tuned[0].chat_template_sha256 == sha256(TEMPLATE.encode())
    assert plain[0].backend == "transformers"


def test_the_digest_is_of_what_is_loaded_only(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "README.md").write_text("A model.")
    assert folder_digest(copy) == folder_digest(folder)
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    assert folder_digest(copy) != folder_digest(folder)


def test_bf16_is_used_where_asked_for(folder: Path) -> None:
    model = TransformersModel(folder, dtype="bf16")
    assert use(model, lambda model: model.info()).settings["dtype"] == "bfloat16"


def test_where_memory_does_not_suffice_the_batch_is_halved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, sizes = transformers_batch._generate, []

    def scarce(model: Any, requests: Any, prompts: Any) -> list[Generation]:
        sizes.append(len(requests))
        if len(requests) > most:
            raise torch.OutOfMemoryError("out of memory")
        return real(model, requests, prompts)

    monkeypatch.setattr(transformers_batch, "_generate", scarce)
    most = 2
    requests = [GenerationRequest(prompt=f"{n}", max_tokens=1) for n in range(5)]
    assert len(ask(TransformersModel(folder), *requests)) == 5
    assert sizes == [5, 2, 3, 1, 2]
    most = 0
    with pytest.raises(ModelError, match="one prompt of 1 tokens"):
        ask(TransformersModel(folder), requests[0])


def test_closing_drops_what_waits(folder: Path) -> None:
    async def go() -> list[Any]:
        model = TransformersModel(folder, batch_size=1)
        await model.info()
        tasks = [asyncio.create_task(model.generate(GenerationRequest(prompt="x", max_tokens=60))) for _ in range(6)]
        await asyncio.sleep(0.02)
        await model.close()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    assert any(isinstance(result, asyncio.CancelledError) for result in asyncio.run(go()))


def test_folders_that_are_no_models(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder") as caught:
        TransformersModel(tmp_path / "none")
    assert "never downloaded" in str(caught.value.fix)
    with pytest.raises(ModelError, match=r"no config\.json"):
        TransformersModel(tmp_path)
    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        TransformersModel(folder, tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="no weights"):
        TransformersModel(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="can carry code"):
        TransformersModel(tmp_path)


def test_a_damaged_model_is_an_error_of_the_users(folder: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="transformers cannot load"):
        use(TransformersModel(damaged), lambda model: model.info())


@pytest.mark.parametrize(
    ("options", "says"),
    [({"dtype": "fp8"}, "unknown dtype"), ({"batch_size": 0}, "batch_size is 0"), ({"device": "cuda:99"}, "device 'cuda:99'")],
)
def test_settings_that_cannot_be(folder: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        use(TransformersModel(folder, **options), lambda model: model.info())
