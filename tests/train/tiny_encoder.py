"""A tiny BERT with random weights, its tokenizer, and a recipe that fits it to the tiny corpus in seconds.

Read by tests with `runpy.run_path`; run as a program, it trains and can kill itself on the way.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

SETTINGS = """\
base_model: {base}
base_licence: CC0-1.0
max_length: 24
targets: {{label_smoothing: 0.02, hierarchy_share: 0.1}}
weights:
  recent: [{{since: 2099-03-01, weight: 1.5}}]
  party: {{cna: 1.0, adp: 0.5}}
fit:
  epochs: 3
  batch_size: 16
  learning_rate: 3.0e-3
  head_learning_rate: 1.0e-2
  layer_decay: 0.9
  evaluations_per_epoch: 2
  patience: 10
precision: fp32
target_precision: 0.8
seed: 7
"""


def write_tiny_encoder(folder: Path, texts: list[str], *, heads: int = 2, layers: int = 2) -> Path:
    """Write config.json, model.safetensors and tokenizer.json of a BERT with 16 hidden units."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())})
    letters = sorted({letter for word in words for letter in word})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = list(dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *words]))
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", pieces.index("[CLS]")), ("[SEP]", pieces.index("[SEP]"))]
    )
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=16, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=32,
        max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def write_tiny_recipe(corpus: Path, classifier_recipe: str, base: Path, name: str = "encoder.yaml", **changes: Any) -> Path:
    """Write a recipe with the tiny corpus's examples; `changes` replace whole settings, as JSON."""
    text = classifier_recipe[: classifier_recipe.index("max_n:")] + SETTINGS.format(base=base)
    for key, value in changes.items():
        text, found = re.subn(rf"^{key}:.*\n(?:[ -].*\n)*", f"{key}: {json.dumps(value)}\n", text, flags=re.MULTILINE)
        text += "" if found else f"{key}: {json.dumps(value)}\n"
    path = corpus / name
    path.write_text(text, encoding="utf-8")
    return path


def main(recipe: str, data: str, out: str, kill_at: str) -> None:
    """Train with one thread; die without warning once a line of the report says this."""
    from ctiforge.sources.cwe import load_catalogue, shipped_table
    from ctiforge.train.encoder import run_train_encoder
    from ctiforge.train.encoder_fitting import Controls
    from ctiforge.train.encoder_recipe import load_encoder_recipe

    def report(line: str) -> None:
        print(line, flush=True)
        if kill_at and kill_at in line:
            os.kill(os.getpid(), signal.SIGKILL)

    controls = Controls(checkpoint_steps=4, report_seconds=0, report=report)
    catalogue = load_catalogue(shipped_table())
    run_train_encoder(load_encoder_recipe(recipe), data, out, catalogue=catalogue, device="cpu", threads=1, controls=controls)


if __name__ == "__main__":
    main(*sys.argv[1:])
