from __future__ import annotations

import errno
import json
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from ctiforge.core.errors import InputError, RecipeError
from ctiforge.models.token_batches import TokenizedTexts, tokenize_texts
from ctiforge.train import encoder_checkpoint
from ctiforge.train.encoder_base import build_network, find_base_model, load_tokenizer, trim_vocabulary
from ctiforge.train.encoder_checkpoint import FitFolder
from ctiforge.train.encoder_fitting import Controls, Device, Schedule, _optimizer, choose_device, rate_factor, run_fit
from ctiforge.train.encoder_metrics import duration
from ctiforge.train.encoder_objectives import Classification, MaskedLanguage, build_masked_head, logits_of

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = Device(torch.device("cpu"), "fp32")
SCHEDULE = Schedule(
    epochs=2, batch_size=8, learning_rate=3e-3, head_learning_rate=1e-2, layer_decay=0.5, warmup=0.1, weight_decay=0.01,
    clip=1.0, evaluations_per_epoch=1, patience=9, seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def texts() -> list[str]:
    module = runpy.run_path(str(Path(__file__).with_name("tiny_corpus.py")))
    rng = random.Random(1)
    return [module["sentence"](cwe_id, rng) for _ in range(16) for cwe_id in module["TEMPLATES"]]


@pytest.fixture(scope="module")
def base(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = runpy.run_path(str(Path(__file__).with_name("tiny_encoder.py")))
    folder: Path = module["write_tiny_encoder"](tmp_path_factory.mktemp("base") / "bert", texts)
    return folder


@pytest.fixture(scope="module")
def objective(base: Path, texts: list[str]) -> Classification:
    targets = np.eye(4, dtype=np.float32)[np.arange(len(texts)) % 4]
    tokens = tokenize_texts(load_tokenizer(base, 24), texts)
    return Classification(tokens, targets, np.ones(len(texts), np.float32), np.ones(4, np.float32), np.zeros(4, np.float32), 0)


def network(base: Path, dropout: float | None = None) -> torch.nn.ModuleDict:
    return build_network(find_base_model(str(base), 24), list("abcd"), rows=None, dropout=dropout, seed=1)


def evaluation(objective: Classification) -> Callable[[torch.nn.ModuleDict], tuple[float, dict[str, Any]]]:
    def evaluate(network: torch.nn.ModuleDict) -> tuple[float, dict[str, Any]]:
        with torch.inference_mode():
            scores = logits_of(network, objective.texts, np.arange(64), 0, CPU.device).numpy()
        right = float((scores.argmax(axis=1) == objective.targets.argmax(axis=1)).mean())
        return right, {"top1": right}

    return evaluate


class DiedError(Exception):
    pass


def dying(at: str) -> Callable[[str], None]:
    def report(line: str) -> None:
        if at in line:
            raise DiedError

    return report


class TestRunFit:
    def test_it_learns(self, base: Path, objective: Classification, tmp_path: Path) -> None:
        lines: list[str] = []
        folder = FitFolder(tmp_path, "one")
        controls = Controls(report_seconds=0, report=lines.append)
        progress = run_fit(
            network(base), objective, SCHEDULE, folder, CPU, name="x", evaluate=evaluation(objective), controls=controls
        )
        assert (progress.step, progress.best_value) == (16, progress.best_scores["top1"])
        assert progress.best_value > 0.6
        assert any("x: step 3 of 16, epoch 0.38, loss 1." in line and line.endswith("left") for line in lines)
        metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert metrics[0]["loss"] > [each for each in metrics if "loss" in each][-1]["loss"]
        assert [each["step"] for each in metrics if "development" in each] == [8, 16]
        assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == [
            "done.json", "metrics.jsonl", "weights.safetensors",
        ]  # fmt: skip
        again = run_fit(network(base), objective, SCHEDULE, FitFolder(tmp_path, "one"), CPU, name="x", controls=controls)
        assert again == progress

    @pytest.mark.parametrize("at", ["step 1 ", "step 6 ", "after step 8:", "step 9 ", "step 16 ", "after step 16:"])
    def test_a_resumed_fit_gives_the_same_bytes(self, at: str, base: Path, objective: Classification, tmp_path: Path) -> None:
        def fit(name: str, report: Callable[[str], None]) -> bytes:
            controls = Controls(checkpoint_steps=4, report_seconds=0, report=report)
            folder = FitFolder(tmp_path / name, "one")
            run_fit(
                network(base), objective, SCHEDULE, folder, CPU, name="x", evaluate=evaluation(objective), controls=controls
            )
            return folder.weights.read_bytes()

        straight = fit("straight", lambda line: None)
        with pytest.raises(DiedError):
            fit("killed", dying(at))
        torch.manual_seed(99)  # whatever happens in between
        lines: list[str] = []
        assert fit("killed", lines.append) == straight
        assert ("going on" in lines[0]) == (at != "step 1 ")
        keep = [
            [{k: v for k, v in json.loads(line).items() if "second" not in k} for line in file.read_text().splitlines()]
            for file in (tmp_path / "straight" / "metrics.jsonl", tmp_path / "killed" / "metrics.jsonl")
        ]
        assert keep[0] == keep[1]

    def test_it_stops_early_and_keeps_the_best(self, base: Path, objective: Classification, tmp_path: Path) -> None:
        values = iter([0.5, 0.7, 0.6, 0.65, 0.9])
        seen: list[dict[str, torch.Tensor]] = []

        def evaluate(network: torch.nn.ModuleDict) -> tuple[float, dict[str, Any]]:
            seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
            return next(values), {}

        schedule = Schedule(**{f: getattr(SCHEDULE, f) for f in SCHEDULE.__slots__} | {"epochs": 9, "patience": 2})
        fitted = network(base)
        progress = run_fit(fitted, objective, schedule, FitFolder(tmp_path, "one"), CPU, name="x", evaluate=evaluate)
        assert (progress.stopped, progress.best_value, progress.best_step, progress.step) == (True, 0.7, 16, 32)
        assert all(torch.equal(tensor, seen[1][name]) for name, tensor in fitted.state_dict().items())

    def test_parts_of_a_batch_add_up(self, base: Path, objective: Classification, tmp_path: Path) -> None:
        found = []
        for size in (None, 3):
            fitted = network(base, dropout=0.0)
            controls = Controls(micro_batch=size)
            run_fit(fitted, objective, SCHEDULE, FitFolder(tmp_path / str(size), "one"), CPU, name="x", controls=controls)
            found.append(fitted["head"].weight.detach())
        assert torch.allclose(*found, atol=1e-3)
        assert not torch.equal(found[0], network(base)["head"].weight)

    def test_masked_language_modelling_learns(self, base: Path, texts: list[str], tmp_path: Path) -> None:
        fitted = network(base)
        fitted["masked"] = build_masked_head(fitted, 1)
        tokens = tokenize_texts(load_tokenizer(base, 24), texts)
        vocabulary = fitted["encoder"].get_input_embeddings().num_embeddings
        objective = MaskedLanguage(tokens, 0.3, 4, np.arange(5), vocabulary, 0)
        schedule = Schedule(**{f: getattr(SCHEDULE, f) for f in SCHEDULE.__slots__} | {"epochs": 12, "layer_decay": 1.0})
        run_fit(fitted, objective, schedule, FitFolder(tmp_path, "one"), CPU, name="x", controls=Controls(report_seconds=0))
        losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])


class TestTrouble:
    def fit(self, base: Path, objective: Any, path: Path, **settings: Any) -> None:
        controls = Controls(checkpoint_steps=2, report_seconds=0, **settings)
        run_fit(network(base), objective, SCHEDULE, FitFolder(path, "one"), CPU, name="x", controls=controls)

    def checkpoint(self, path: Path) -> bytes:
        return (path / "checkpoint.safetensors").read_bytes()

    def test_a_loss_that_is_not_a_number(self, base: Path, objective: Classification, tmp_path: Path) -> None:
        with pytest.raises(DiedError):
            self.fit(base, objective, tmp_path, report=dying("step 5 "))
        before = self.checkpoint(tmp_path)
        broken = Classification(
            objective.texts, objective.targets * np.float32("nan"), objective.example_weights, objective.label_weights,
            objective.adjustment, 0,
        )  # fmt: skip
        with pytest.raises(RecipeError, match=r"the loss is nan at step 5; the last checkpoint is intact"):
            self.fit(base, broken, tmp_path)
        assert self.checkpoint(tmp_path) == before

    @pytest.mark.parametrize(
        "error",
        [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("not enough memory: you tried to allocate")],
    )
    def test_out_of_memory(self, error: Exception, base: Path, objective: Classification, tmp_path: Path) -> None:
        class Hungry:
            texts = objective.texts

            def weight(self, rows: Any) -> float:
                return objective.weight(rows)

            def loss(self, network: Any, rows: Any, draw: Any, device: Any) -> Any:
                raise error

        with pytest.raises(InputError, match="out of memory at step 1: 8 texts of up to") as caught:
            self.fit(base, Hungry(), tmp_path)
        assert "--micro-batch 4" in str(caught.value.fix)

    def test_a_bug_keeps_its_traceback(self, base: Path, objective: Classification, tmp_path: Path) -> None:
        broken = Classification(
            objective.texts, objective.targets[:, :3], objective.example_weights, np.ones(3), np.zeros(3), 0
        )
        with pytest.raises(RuntimeError, match="size"):
            self.fit(base, broken, tmp_path)

    def test_a_full_disk(self, base: Path, objective: Classification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(DiedError):
            self.fit(base, objective, tmp_path, report=dying("step 5 "))
        before = self.checkpoint(tmp_path)

        def full(path: Path, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(encoder_checkpoint, "write_bytes", full)
            with pytest.raises(InputError, match=r"checkpoint\.safetensors: cannot write \(the disk is full\); the last"):
                self.fit(base, objective, tmp_path)
        assert self.checkpoint(tmp_path) == before
        self.fit(base, objective, tmp_path)
        assert (tmp_path / "done.json").exists()

    def test_another_fit_is_not_continued(self, base: Path, objective: Classification, tmp_path: Path) -> None:
        with pytest.raises(DiedError):
            self.fit(base, objective, tmp_path, report=dying("step 5 "))
        with pytest.raises(InputError, match="of another recipe"):
            run_fit(network(base), objective, SCHEDULE, FitFolder(tmp_path, "two"), CPU, name="x")
        self.fit(base, objective, tmp_path)
        with pytest.raises(InputError, match=r"done\.json is of another recipe"):
            run_fit(network(base), objective, SCHEDULE, FitFolder(tmp_path, "two"), CPU, name="x")

    def test_a_damaged_checkpoint_is_named(self, base: Path, objective: Classification, tmp_path: Path) -> None:
        (tmp_path / "checkpoint.safetensors").write_bytes(b"\x00" * 50)
        with pytest.raises(InputError, match="not a checkpoint") as caught:
            self.fit(base, objective, tmp_path)
        assert "--restart" in str(caught.value.fix)

    def test_a_device_that_is_not_there(self) -> None:
        for name in ("cuda:77", "toaster"):
            with pytest.raises(InputError, match="no device"):
                choose_device(name, "auto")


class TestSchedule:
    def test_up_and_down(self) -> None:
        factors = [rate_factor(step, 100, 0.1) for step in range(100)]
        assert factors.index(max(factors)) == 10
        assert max(factors) == 1
        assert 0 < factors[0] < 0.1
        assert 0 < factors[-1] < 0.02
        assert [rate_factor(step, 4, 0.0) for step in range(4)] == [1, 0.75, 0.5, 0.25]

    def test_lower_layers_learn_slower(self, base: Path) -> None:
        fitted = network(base)
        optimizer, rates = _optimizer(fitted, SCHEDULE, CPU.device)
        rate_of = {id(p): rate for group, rate in zip(optimizer.param_groups, rates, strict=True) for p in group["params"]}
        decay_of = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        found = {name: (rate_of[id(p)], decay_of[id(p)]) for name, p in fitted.named_parameters()}
        assert found["head.weight"] == (1e-2, 0.01)
        assert found["encoder.encoder.layer.1.output.dense.weight"] == (3e-3, 0.01)
        assert found["encoder.encoder.layer.0.output.dense.bias"] == (1.5e-3, 0.0)
        assert found["encoder.embeddings.word_embeddings.weight"] == (0.75e-3, 0.01)
        assert len(rate_of) == len(list(fitted.parameters()))

    def test_durations(self) -> None:
        assert [duration(seconds) for seconds in (42, 420, 7500)] == ["42 s", "7 min", "2 h 05 min"]


def test_a_trimmed_vocabulary_reads_the_texts_it_was_made_for_alike(base: Path, texts: list[str]) -> None:
    whole = load_tokenizer(base, 24)
    trimmed = trim_vocabulary(whole, texts[:8], keep_in=1)
    assert len(trimmed.rows) < whole.get_vocab_size()
    for text in texts[:8]:
        assert trimmed.tokenizer.encode(text).tokens == whole.encode(text).tokens
        assert [trimmed.rows[i] for i in trimmed.tokenizer.encode(text).ids] == whole.encode(text).ids
    unseen = trimmed.tokenizer.encode("an unseen wombat").tokens
    assert "[UNK]" not in unseen
    model = find_base_model(str(base), 24)
    small = build_network(model, list("abcd"), rows=trimmed.rows, dropout=0.0, seed=1).eval()
    large = build_network(model, list("abcd"), rows=None, dropout=0.0, seed=1).eval()
    rows = np.arange(8)
    found = [
        logits_of(net, tokenize_texts(tokenizer, texts[:8]), rows, 0, CPU.device)
        for net, tokenizer in ((small, trimmed.tokenizer), (large, whole))
    ]
    assert torch.allclose(*found, atol=1e-6)


def test_padding_changes_nothing(base: Path) -> None:
    fitted = network(base).eval()
    short, long = np.array([2, 7, 8, 3], dtype=np.int32), np.arange(2, 20, dtype=np.int32)
    alone = logits_of(fitted, TokenizedTexts([short]), np.array([0]), 0, CPU.device)
    beside = logits_of(fitted, TokenizedTexts([short, long]), np.array([0, 1]), 0, CPU.device)
    assert torch.allclose(alone[0], beside[0], atol=1e-5)
