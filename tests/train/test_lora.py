"""LoRA fine-tuning on tiny models: the loss is the plain trainer's, a kill changes nothing, faults end in a message."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import InputError, ModelError, SettingError
from ctiforge.models.tiny_random import write_tiny_random
from ctiforge.recipes.reading import bundled_recipe_path
from ctiforge.train.lora_recipe import LoraRecipe, load_lora_recipe

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

PROGRAM = Path(__file__).with_name("tiny_lora.py")


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    return runpy.run_path(str(PROGRAM))


@pytest.fixture(scope="module")
def corpus(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tiny["write_corpus"](tmp_path_factory.mktemp("corpus"))
    return folder


@pytest.fixture(scope="module")
def recipe_file(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = bundled_recipe_path("lora-smoke").read_text("utf-8")
    file: Path = tiny["write_recipe"](
        tmp_path_factory.mktemp("recipe") / "mine.yaml", text, every_steps="3", checkpoint_steps="2", samples="1"
    )
    return file


def run(base: str | Path, corpus: Path, out: Path, recipe: LoraRecipe, **settings: Any) -> Any:
    from ctiforge.train.lora import run_train_lora

    return run_train_lora(recipe, base, corpus, out, device="cpu", **settings)


def fixed(recipe: LoraRecipe, **batches: Any) -> LoraRecipe:
    return recipe.model_copy(update={"batches": recipe.batches.model_copy(update=batches)})


def test_stages_go_on_from_each_other_and_leave_what_they_say(corpus: Path, recipe_file: Path, tmp_path: Path) -> None:
    said: list[str] = []
    recipe = load_lora_recipe(recipe_file)
    made = run("tiny-random", corpus, tmp_path / "out", recipe, report=said.append)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert [stage["stage"]["name"] for stage in manifest["stages"]] == ["rcm", "combined"]
    assert manifest["adapter_sha256"] == made.digest == manifest["stages"][-1]["sha256"]
    assert manifest["stages"][0]["kinds"] == {"rcm": 16}
    assert manifest["stages"][1]["kinds"] == {"qa": 8, "rcm": 16}
    folder = tmp_path / "out" / "stages" / "02-combined"
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert any("loss" in line and line["tokens_per_second"] > 0 for line in metrics)
    assert any("eval_loss" in line for line in metrics)
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text("utf-8").splitlines()]
    assert samples[-1]["wanted"].splitlines()[-1] in ("CWE-79", "CWE-89")
    assert not (folder / "checkpoints").exists()
    assert (tmp_path / "out" / "adapter" / "chat_template.jinja").is_file()
    assert any("examples" in line and "tokens" in line for line in said)
    again = run("tiny-random", corpus, tmp_path / "out", recipe, report=said.append)
    assert again.digest == made.digest
    assert "rcm: done before, skipped" in said
    with pytest.raises(InputError, match="another recipe, base, corpus"):
        run("tiny-random", corpus, tmp_path / "out", recipe.model_copy(update={"seed": 1}))


def test_an_adapter_is_gone_on_from_as_a_stage_is(corpus: Path, recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_lora_recipe(recipe_file)
    first, second = recipe.stages
    whole = run("tiny-random", corpus, tmp_path / "whole", recipe)
    base = tmp_path / "whole" / "tiny-random"
    begun = run(base, corpus, tmp_path / "begun", recipe.model_copy(update={"stages": [first]}))
    rest = recipe.model_copy(update={"stages": [second]})
    ended = run(base, corpus, tmp_path / "ended", rest, adapter=tmp_path / "begun")
    assert ended.digest == whole.digest != begun.digest
    manifest = json.loads((tmp_path / "ended" / "manifest.json").read_text("utf-8"))
    assert manifest["started_from"] == {"recipe": recipe.name, "adapter_sha256": begun.digest}
    with pytest.raises(InputError, match="corpus, adapter or kind of device"):
        run(base, corpus, tmp_path / "ended", rest)


def test_an_adapter_that_does_not_fit_is_refused(corpus: Path, recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_lora_recipe(recipe_file)
    short = recipe.model_copy(update={"stages": recipe.stages[:1]})
    run("tiny-random", corpus, tmp_path / "begun", short)
    base, begun = tmp_path / "begun" / "tiny-random", tmp_path / "begun"
    with pytest.raises(ModelError, match="is no LoRA adapter"):
        run(base, corpus, tmp_path / "out", short, adapter=base)
    wider = short.model_copy(update={"lora": short.lora.model_copy(update={"rank": 2 * short.lora.rank})})
    with pytest.raises(ModelError, match=f"r {short.lora.rank} instead of {2 * short.lora.rank}"):
        run(base, corpus, tmp_path / "out", wider, adapter=begun)
    other = write_tiny_random(tmp_path / "other")
    (other / "note.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="was trained on another base"):
        run(other, corpus, tmp_path / "out", short, adapter=begun)


def test_what_a_gpu_machine_fitted_is_finished_on_another(
    corpus: Path, recipe_file: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from ctiforge.train import lora

    prints: list[Any] = []
    fingerprint = lora.run_fingerprint
    monkeypatch.setattr(lora, "run_fingerprint", lambda *given: prints.append(given) or fingerprint(*given))
    recipe = load_lora_recipe(recipe_file)
    out = tmp_path / "out"
    made = run("tiny-random", corpus, out, recipe)
    (out / "manifest.json").unlink()
    elsewhere = fingerprint(*prints[0][:3], "cuda")
    (out / "run.json").write_text(json.dumps({"fingerprint": elsewhere, "device": "cuda"}), "utf-8")
    again = run("tiny-random", corpus, out, recipe.model_copy(update={"device": "gpu", "precision": "fp32"}))
    assert again.digest == made.digest
    assert json.loads((out / "manifest.json").read_text("utf-8"))["fingerprint"] == elsewhere
    with pytest.raises(SettingError, match="for a GPU"):
        run("tiny-random", corpus, out, recipe.model_copy(update={"device": "gpu"}), restart=True)


@pytest.mark.slow
def test_a_kill_at_any_step_changes_no_bit_of_the_adapter(corpus: Path, recipe_file: Path, tmp_path: Path) -> None:
    base = write_tiny_random(tmp_path / "base")

    def train(out: str, die_at: int) -> subprocess.CompletedProcess[str]:
        arguments = [str(base), str(corpus), str(tmp_path / out), str(recipe_file), str(die_at)]
        return subprocess.run([sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, check=False)

    whole = train("whole", 0)
    assert whole.returncode == 0, whole.stderr
    kills = 0
    for die_at in (1, 3, 2, 4, 3, 0):
        done = train("killed", die_at)
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        kills += 1
    assert kills == 5
    assert done.stdout == whole.stdout


def test_half_a_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    from ctiforge.core.files import file_sha256, write_json
    from ctiforge.train.lora_trainer import last_checkpoint

    for step in (2, 4, 6):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_bytes(b"0123456789")
        if step != 6:
            write_json(folder / "complete.json", {"weights": file_sha256(folder / "weights")})
    (tmp_path / "checkpoint-4" / "weights").write_bytes(b"01234")
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2"]


@pytest.mark.parametrize("family", ["gemma3", "gemma4", "gemma4-multimodal", "qwen3"])
@pytest.mark.parametrize("packing", [False, True])
def test_the_loss_and_its_gradients_are_those_of_all_logits(family: Any, packing: bool, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from ctiforge.train.lora_trainer import GroupCollator, completion_loss

    model = AutoModelForCausalLM.from_pretrained(write_tiny_random(tmp_path / family, family)).eval()
    draw = torch.Generator().manual_seed(1)
    group = []
    for length, completion in ((9, 3), (30, 6), (17, 1)):
        ids = torch.randint(20, 250, (length,), generator=draw).tolist()
        group.append({"input_ids": ids, "labels": [-100] * (length - completion) + ids[-completion:]})
    summed, count, _ = completion_loss(model, GroupCollator(0, packing=packing)(group))
    gradient = torch.autograd.grad(summed, model.get_input_embeddings().weight)[0]
    plain = torch.zeros(())
    for each in group:
        ids, labels = torch.tensor([each["input_ids"]]), torch.tensor([each["labels"]])
        logits = model(ids).logits[0, :-1]
        plain = plain + torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum", ignore_index=-100)
    expected = torch.autograd.grad(plain, model.get_input_embeddings().weight)[0]
    assert int(count) == 10
    torch.testing.assert_close(summed, plain, rtol=1e-5, atol=1e-5)
    assert float((gradient - expected).abs().max()) < 1e-4 * float(expected.abs().max())


def test_only_the_language_model_gets_an_adapter(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from ctiforge.train.lora_base import add_adapter

    recipe = load_lora_recipe("gemma4defense-2b")
    model = AutoModelForCausalLM.from_pretrained(write_tiny_random(tmp_path / "base", "gemma4-multimodal"))
    names = [name for name, each in add_adapter(model, recipe).named_parameters() if each.requires_grad]
    assert names
    assert all(".language_model.layers." in name for name in names)
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in names} == set(recipe.lora.targets)


def test_every_epoch_has_every_example_once() -> None:
    from ctiforge.train.lora_trainer import example_order

    lengths = [5 + 3 * (number % 40) for number in range(1000)]
    for by_length in (False, True):
        order = example_order(lengths, 3, 8, 42, by_length=by_length)
        assert order == example_order(lengths, 3, 8, 42, by_length=by_length)
        assert all(sorted(order[at : at + 1000]) == list(range(1000)) for at in range(0, 3000, 1000))
        assert order[:1000] != order[1000:2000]
        groups = [[lengths[each] for each in order[at : at + 8]] for at in range(0, 3000, 8)]
        padding = sum(max(group) * len(group) - sum(group) for group in groups) / sum(lengths) / 3
        assert padding < 0.05 if by_length else padding > 0.2


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ("folder", ModelError, "models are never downloaded"),
        ("architecture", ModelError, "but recipe 'smoke' is for tiny-random"),
        ("pickle", ModelError, "a form that can carry code"),
        ("columns", InputError, "train.jsonl, line 1: no text in completion"),
        ("corpus", InputError, "there is no such file"),
        ("kind", InputError, "has no record of kind 'qa'"),
        ("gpu", SettingError, "is for a GPU"),
        ("short", InputError, "no example of stage 'rcm' fits into 16 tokens"),
        ("loss", ModelError, "the loss is nan"),
    ],
)
def test_faults_end_in_a_message_that_says_what_to_do(
    change: str, error: type[Exception], words: str, tiny: dict[str, Any], tmp_path: Path
) -> None:
    recipe = load_lora_recipe("smoke")
    base: str | Path = write_tiny_random(tmp_path / "base")
    data = tiny["write_corpus"](tmp_path / "corpus")
    if change == "folder":
        base = "google/gemma-4-E2B-it"
    elif change == "architecture":
        config = json.loads((base / "config.json").read_text("utf-8"))  # type: ignore[operator]
        (base / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaForCausalLM"]}), "utf-8")  # type: ignore[operator]
    elif change == "pickle":
        (base / "model.safetensors").rename(base / "pytorch_model.bin")  # type: ignore[operator]
    elif change == "columns":
        (data / "train.jsonl").write_text('{"id": "1", "kind": "rcm", "prompt": "?"}\n', "utf-8")
    elif change == "corpus":
        (data / "development.jsonl").unlink()
    elif change == "kind":
        lines = (data / "train.jsonl").read_text("utf-8").splitlines(keepends=True)
        (data / "train.jsonl").write_text("".join(line for line in lines if '"rcm"' in line), "utf-8")
    elif change == "gpu":
        recipe = recipe.model_copy(update={"device": "gpu"})
    elif change == "short":
        recipe = fixed(recipe, max_tokens=16)
    elif change == "loss":
        recipe = recipe.model_copy(
            update={"optimization": recipe.optimization.model_copy(update={"learning_rate": 1e30, "max_gradient_norm": 1e30})}
        )
    with pytest.raises(error, match=words):
        run(base, data, tmp_path / "out", recipe)


def test_what_does_not_fit_is_said_before_a_weight_loads(corpus: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from ctiforge.train import lora_memory

    said: list[str] = []
    base = write_tiny_random(tmp_path / "base")
    recipe = fixed(load_lora_recipe("smoke"), size=64)
    free = 0
    monkeypatch.setattr(lora_memory, "available_memory", lambda device: free)
    needs = []
    for checkpointing in (True, False):
        changed = recipe.model_copy(update={"activation_checkpointing": checkpointing})
        with pytest.raises(ModelError) as error:
            lora_memory.check_memory(str(base), changed, "cpu", said.append)
        needs.append(float(str(error.value).split("needs ")[1].split(" GB")[0]))
    assert needs[0] + 0.3 < needs[1]
    free = int(1e9 * sum(needs) / 2)
    with pytest.raises(ModelError, match=r"a step needs \d\.\d GB .* GB are free"):
        run(base, corpus, tmp_path / "out", recipe)
    assert not (tmp_path / "out" / "run.json").exists()
    assert lora_memory.check_memory(
        str(base), recipe.model_copy(update={"activation_checkpointing": "auto"}), "cpu", said.append
    )
    assert "with activations computed again" in said[-1]
    free = 10**12
    assert not lora_memory.check_memory(
        str(base), recipe.model_copy(update={"activation_checkpointing": "auto"}), "cpu", said.append
    )


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_may_be_computed_again(checkpointing: bool, corpus: Path, tmp_path: Path) -> None:
    recipe = load_lora_recipe("smoke")
    recipe = recipe.model_copy(
        update={
            "activation_checkpointing": checkpointing,
            "stages": recipe.stages[:1],
            "lora": recipe.lora.model_copy(update={"dropout": 0.0}),
        }
    )
    made = run("tiny-random", corpus, tmp_path / "out", recipe)
    assert made.evaluation_loss == pytest.approx(5.4, abs=0.3)


def test_a_full_disk_leaves_the_checkpoint_before(corpus: Path, recipe_file: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from transformers import Trainer

    from ctiforge.train.lora_trainer import last_checkpoint

    before = Trainer._save_checkpoint
    calls = []

    def full(self: Any, *given: Any) -> None:
        calls.append(1)
        before(self, *given)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Trainer, "_save_checkpoint", full)
    with pytest.raises(InputError, match="the disk is full; the checkpoint before is intact"):
        run("tiny-random", corpus, tmp_path / "out", load_lora_recipe(recipe_file))
    found = last_checkpoint(tmp_path / "out" / "stages" / "01-rcm" / "checkpoints")
    assert found is not None
    assert found.name == "checkpoint-2"
