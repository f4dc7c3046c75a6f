"""A tiny model through the factory: trained, resumed, merged, extracted, saved, loaded - and always the same logits."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import InputError, ModelError
from ctiforge.models.tiny_random import write_tiny_random
from ctiforge.recipes.reading import bundled_recipe_path
from ctiforge.train.lora_recipe import load_lora_recipe

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

TINY = Path(__file__).parents[1] / "train" / "tiny_lora.py"


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    return runpy.run_path(str(TINY))


def tuned(family: Any, folder: Path, tiny: dict[str, Any]) -> tuple[Path, Path]:
    """Train 20 steps on a tiny model, interrupted once; return base and run."""
    from ctiforge.train import lora_trainer
    from ctiforge.train.lora import run_train_lora

    base = write_tiny_random(folder / "base", family)
    text = (
        bundled_recipe_path("lora-smoke")
        .read_text("utf-8")
        .replace("epochs: 1, limits: {rcm: 48}", "epochs: 5, limits: {rcm: 48}")
    )
    recipe = load_lora_recipe(tiny["write_recipe"](folder / "mine.yaml", text, samples="0", examples="2", every_steps="50"))
    corpus = tiny["write_corpus"](folder / "corpus")
    before = lora_trainer.CompletionTrainer.training_step
    seen = []

    def interrupted(self: Any, *given: Any, **named: Any) -> Any:
        seen.append(self.state.global_step)
        if len(seen) == 17:
            raise KeyboardInterrupt
        return before(self, *given, **named)

    lora_trainer.CompletionTrainer.training_step = interrupted  # type: ignore[method-assign]
    try:
        with pytest.raises(KeyboardInterrupt):
            run_train_lora(recipe, base, corpus, folder / "run", device="cpu")
        assert (folder / "run" / "stages" / "01-rcm" / "checkpoints").is_dir()
        run_train_lora(recipe, base, corpus, folder / "run", device="cpu")
    finally:
        lora_trainer.CompletionTrainer.training_step = before  # type: ignore[method-assign]
    steps = [stage["steps"] for stage in json.loads((folder / "run" / "manifest.json").read_text("utf-8"))["stages"]]
    assert steps[0] == 20
    return base, folder / "run"


@pytest.mark.parametrize("family", ["gemma4-multimodal", "gemma3-multimodal", "qwen3"])
def test_merged_and_extracted_models_compute_what_the_adapter_computes(
    family: Any, tiny: dict[str, Any], tmp_path: Path
) -> None:
    from peft import PeftModel

    from ctiforge.export.merge import run_merge
    from ctiforge.export.model_folder import last_logits, load_model, load_tokenizer, probe_tokens, relative_difference
    from ctiforge.export.text_only import extract_adapter, run_extract_text

    base, run = tuned(family, tmp_path, tiny)
    merged = run_merge(run, base, tmp_path / "merged", precision="fp32")
    assert merged.difference <= 1e-5
    tokenizer = load_tokenizer(tmp_path / "merged")
    assert "<start_of_turn>" in tokenizer.chat_template, "the template that was trained with goes along"
    probes = probe_tokens(tokenizer)
    with_adapter = PeftModel.from_pretrained(load_model(base, "fp32"), str(run / "adapter")).eval()
    expected = last_logits(with_adapter, probes)
    plain = last_logits(load_model(base, "fp32"), probes)
    assert relative_difference(plain, expected) > 1e-3, "the adapter does something"
    assert relative_difference(last_logits(load_model(tmp_path / "merged", "fp32"), probes), expected) <= 1e-5
    if family == "qwen3":
        with pytest.raises(ModelError, match="has no text model to extract"):
            run_extract_text(tmp_path / "merged", tmp_path / "text")
        return
    extracted = run_extract_text(tmp_path / "merged", tmp_path / "text", precision="fp32")
    assert extracted.difference == 0
    assert extracted.left_out > 0
    config = json.loads((tmp_path / "text" / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["Gemma4ForCausalLM" if "gemma4" in family else "Gemma3ForCausalLM"]
    assert relative_difference(last_logits(load_model(tmp_path / "text", "fp32"), probes), expected) <= 1e-5
    run_extract_text(base, tmp_path / "text-base", precision="fp32")
    moved = extract_adapter(run / "adapter", tmp_path / "moved")
    on_text = PeftModel.from_pretrained(load_model(tmp_path / "text-base", "fp32"), str(moved)).eval()
    assert relative_difference(last_logits(on_text, probes), expected) <= 1e-5


def test_what_does_not_belong_together_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    from ctiforge.export.merge import run_merge

    base, run = tuned("qwen3", tmp_path, tiny)
    other = write_tiny_random(tmp_path / "other", "qwen3", seed=1)
    with pytest.raises(ModelError, match="was trained on tiny-random, digest"):
        run_merge(run, other, tmp_path / "merged")
    quantized = shutil.copytree(base, tmp_path / "quantized")
    config = json.loads((quantized / "config.json").read_text("utf-8"))
    (quantized / "config.json").write_text(json.dumps(config | {"quantization_config": {"bits": 4}}), "utf-8")
    adapter = shutil.copytree(run / "adapter", tmp_path / "alone")
    with pytest.raises(ModelError, match="quantized weights: what is merged into them is rounded away"):
        run_merge(adapter, quantized, tmp_path / "merged")
    gemma = write_tiny_random(tmp_path / "gemma", "gemma3")
    with pytest.raises(ModelError, match="is no adapter of this base: 42 tensors do not fit"):
        run_merge(adapter, gemma, tmp_path / "merged")
    with pytest.raises(ModelError, match="has no adapter_config"):
        run_merge(base, base, tmp_path / "merged")
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine").touch()
    with pytest.raises(InputError, match="exists already"):
        run_merge(adapter, base, tmp_path / "merged", precision="fp32")
    assert (tmp_path / "merged" / "mine").exists()


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from ctiforge.export.model_folder import load_model

    base = write_tiny_random(tmp_path / "base", "qwen3")
    tensors = load_file(base / "model.safetensors")
    tensors.pop("model.norm.weight")
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights, such as model\.norm\.weight"):
        load_model(base, "fp32")
