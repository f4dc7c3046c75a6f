"""Training a reader, killed and resumed; the file it comes in."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ctiforge.ask import KnowledgeBase
from ctiforge.ask.reader import material
from ctiforge.ask.reader.features import FEATURES
from ctiforge.ask.reader.fitting import FitSettings, Material, chosen, fit_head
from ctiforge.ask.reader.model import load_reader
from ctiforge.ask.reader.training import TrainingSettings, train_reader
from ctiforge.core.errors import ModelError, SettingError

QUICK = TrainingSettings(count=240, per_kind=8, fit=FitSettings(epochs=4, units=4))


def test_a_reader_learns_and_its_manifest_says_from_what(base: KnowledgeBase, tmp_path: Path) -> None:
    report = train_reader(base, tmp_path, QUICK)
    manifest = report.manifest
    assert manifest["knowledge_base"] == base.manifest.build
    assert manifest["questions"]["chosen"] > 100
    assert manifest["held_out"]["words"]["accuracy"] > 0.4
    assert (tmp_path / "reader.npz").stat().st_size == manifest["bytes"] < 1_000_000
    reader = load_reader(tmp_path / "reader.npz")
    assert reader.digest == manifest["sha256"]
    assert "held_out" in reader.about


def test_the_same_base_and_seed_give_the_same_bytes_also_after_a_stop(base: KnowledgeBase, tmp_path: Path) -> None:
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_reader(base, tmp_path / "stopped", QUICK, watch=stop)
    (folder,) = (each for each in (tmp_path / "stopped" / "material").iterdir() if each.is_dir())
    kept = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert len(kept) == 1
    train_reader(base, tmp_path / "stopped", QUICK)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    train_reader(base, tmp_path / "whole", QUICK)
    assert (tmp_path / "stopped" / "reader.npz").read_bytes() == (tmp_path / "whole" / "reader.npz").read_bytes()


def test_questions_that_are_refused_are_counted_and_not_learnt_from(base: KnowledgeBase, tmp_path: Path) -> None:
    report = train_reader(base, tmp_path, QUICK, keep=lambda question: question.topic != "cwe", kept_by={"why": "no jars"})
    assert report.manifest["questions"]["refused"] > 20
    assert report.manifest["questions"]["kept_by"] == {"why": "no jars"}


def test_too_little_to_ask_about_is_said(base: KnowledgeBase, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="too few to learn from"):
        train_reader(base, tmp_path, QUICK, keep=lambda question: False)


def test_damaged_chunks_are_made_again(base: KnowledgeBase, tmp_path: Path) -> None:
    train_reader(base, tmp_path, QUICK)
    before = (tmp_path / "reader.npz").read_bytes()
    for file in (tmp_path / "material").rglob("*.npz"):
        file.write_bytes(b"half")
    train_reader(base, tmp_path, QUICK)
    assert (tmp_path / "reader.npz").read_bytes() == before


def test_the_reader_that_ships_loads_without_pickle_and_is_small() -> None:
    reader = load_reader()
    assert len(reader.to_bytes()) < 1_000_000
    assert reader.about["questions"]["kept_by"]["files"], "learnt from questions that were checked against benchmarks"


@pytest.mark.parametrize("damage", ["cut", "text", "other features", "missing"])
def test_readers_that_cannot_be_used_say_what_to_do(damage: str, tmp_path: Path) -> None:
    data = load_reader().to_bytes()
    file = tmp_path / "reader.npz"
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "text":
        file.write_text("no archive")
    elif damage == "other features":
        with np.load(io.BytesIO(data)) as held:
            arrays = dict(held)
        arrays["about"] = np.frombuffer(arrays["about"].tobytes().replace(b"echo", b"ocho"), dtype=np.uint8)
        with open(file, "wb") as stream:
            np.savez(stream, **arrays)
    with pytest.raises(ModelError, match=r"reader\.npz") as refused:
        load_reader(file)
    assert "train-reader" in str(refused.value.fix)


def test_fitting_finds_the_feature_that_tells() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(300, 4, len(FEATURES))).astype(np.float32)
    answers = features[:, :, 3].argmax(axis=1).astype(np.int64)
    names = np.array(["kind"] * 300)
    made = Material(features, answers, np.zeros(300, dtype=bool), names, names)
    head = fit_head(made, FitSettings(epochs=20, units=4))
    assert (chosen(head, made) == answers).mean() > 0.85


@pytest.mark.slow
def test_a_killed_training_goes_on(inputs: object, base: KnowledgeBase, tmp_path: Path) -> None:
    script = (
        "import sys, os\n"
        "from ctiforge.ask import KnowledgeBase\n"
        "from ctiforge.ask.reader.training import TrainingSettings, train_reader\n"
        "from ctiforge.ask.reader.fitting import FitSettings\n"
        "kill = lambda done, total: os._exit(9) if done == 200 and len(sys.argv) > 3 else None\n"
        "settings = TrainingSettings(count=240, per_kind=8, fit=FitSettings(epochs=4, units=4))\n"
        "train_reader(KnowledgeBase.load(sys.argv[1]), sys.argv[2], settings, watch=kill)\n"
    )
    command = [sys.executable, "-c", script, str(base.root), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(material.__file__).parents[3])}
    assert subprocess.run([*command, "kill"], env=environment, check=False).returncode == 9
    assert not (tmp_path / "reader.npz").exists()
    subprocess.run(command, env=environment, check=True)
    train_reader(base, tmp_path / "again", QUICK)
    assert (tmp_path / "reader.npz").read_bytes() == (tmp_path / "again" / "reader.npz").read_bytes()
