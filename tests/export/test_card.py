"""The model card: every figure comes from a manifest, a record, a datasheet or the planner, and is as it was there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ctiforge.export.card import CardFacts, Comparison, render_card
from ctiforge.models.memory_plan import Parameters, Planned, Shape

GOLDEN = Path(__file__).with_name("golden") / "card.md"


def training() -> dict[str, Any]:
    return {
        "recipe": {
            "name": "mine",
            "description": "Invented.",
            "seed": 42,
            "completions": "last-line",
            "precision": "bf16",
            "attention": "sdpa",
            "lora": {"rank": 64, "alpha": 64.0, "dropout": 0.05, "targets": ["q_proj", "v_proj"]},
            "optimization": {
                "learning_rate": 5e-5,
                "schedule": "cosine",
                "warmup_ratio": 0.05,
                "weight_decay": 0.01,
                "max_gradient_norm": 1.0,
            },
            "batches": {"size": 2, "accumulation": 8, "max_tokens": 4096},
        },
        "base": {"model": "example/base", "digest": "ab" * 32, "licence": "Apache-2.0"},
        "stages": [
            {
                "stage": {"name": "rcm", "epochs": 5},
                "kinds": {"rcm": 6776},
                "examples": 6700,
                "changes": {"prompt shortened": 12},
                "steps": 2094,
                "seconds": 5400.0,
                "evaluation": {"eval_loss": 0.51234},
                "evaluation_examples": 512,
            }
        ],
        "adapter_sha256": "cd" * 32,
        "device": "Example GPU",
        "versions": {"ctiforge": "0.1.0"},
        "git_revision": "ef" * 20,
    }


def facts() -> CardFacts:
    sheet = {
        "name": "card-2021",
        "description": "Invented | with a bar.",
        "records": {"train": 11354, "development": 1222},
        "counts": {"train": {"year": {"2021": 11000, "2020": 354}}},
        "licences": ["CC0-1.0", "MIT"],
        "contamination": {
            "against": ["cti-rcm.tsv"],
            "levels_that_remove": ["exact_id", "near_duplicate"],
            "removed": {"exact_id": {"cti-rcm.tsv": 8}, "near_duplicate": {}},
        },
    }
    record = {
        "protocol": {"name": "foundation-sec-ift", "custom": False, "settings": {"temperature": 0.3}},
        "tasks": [
            {
                "task": "cti-rcm",
                "n": 1000,
                "left_out": {},
                "accuracy": {"mean": 0.6754, "std": 0.0035, "ci95_low": 0.646, "ci95_high": 0.703, "trials": 5},
            },
            {"task": "cti-mcq", "n": 0, "left_out": {}, "accuracy": None},
        ],
    }
    shape = Shape("example/base", Parameters(4_628_569_344, 2_279_759_104, 1), (), 1536, 6144, 262144, {})
    gguf = {
        "importance": {"texts": 200},
        "parity": 0.96,
        "files": [{"quantization": "Q8_0", "bytes": 299_747_776, "sha256": "12" * 32}],
    }
    report = {
        "files": [
            {
                "quantization": "Q8_0",
                "accuracy": 0.675,
                "difference": -0.001,
                "p": 0.81,
                "perplexity": 12.3456,
                "tokens_per_second": 231.4,
            }
        ]
    }
    return CardFacts(
        name="Mine-2B",
        training=training(),
        front_matter="model-index:\n- name: Mine-2B\n",
        records=[record],
        shape=shape,
        serving=[Planned("bf16", 4096, 9_257_138_688, 31_457_280, 945_000_000, 10_233_595_968)],
        datasheet=sheet,
        gguf=gguf,
        quantization=report,
        comparison=[
            Comparison("Mine-2B", None, "cti-rcm", 0.6754, 0.0035, True, "foundation-sec-ift, n=1,000"),
            Comparison("Other", "8B", "cti-rcm", 0.685, None, False, "Somebody 2025"),
        ],
    )


def test_the_card_is_as_it_was(request: pytest.FixtureRequest) -> None:
    text = render_card(facts())
    if os.environ.get("CTIFORGE_WRITE_GOLDEN"):
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")


def test_the_front_matter_is_yaml() -> None:
    _, front, _ = render_card(facts()).split("---\n", 2)
    words = yaml.safe_load(front)
    assert words["base_model"] == "example/base"
    assert words["license"] == "apache-2.0"
    assert words["model-index"] == [{"name": "Mine-2B"}]


def test_what_is_not_known_is_left_out() -> None:
    text = render_card(CardFacts("Mine", training()))
    for heading in ("## Hardware", "## Evaluation", "## Quantized files", "### Beside other models"):
        assert heading not in text
    assert "## Training procedure" in text
    assert "None" not in text
