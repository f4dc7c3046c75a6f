"""What 8-bit weights cost the encoder: accuracy on cti-rcm with them and with the fp32 model that they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import THREADS, read_cti_rcm
from figures import paired, share

from ctiforge.classify.classifier import load_model
from ctiforge.core.errors import CtiforgeError
from ctiforge.core.files import file_sha256
from ctiforge.models.artefact import read_verified
from ctiforge.models.blend import BlendModel
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.encoder import EncoderModel

__all__ = ["measure_int8", "with_fp32_encoder"]

_FP32, _BATCH = "model.onnx", 64


def measure_int8(tsv: Path, model: str, encoder: Path | None) -> dict[str, Any]:
    """Return the export's own figures (development split), and both on cti-rcm if the fp32 model is at hand.

    Args:
        encoder: folder that ``ctiforge train encoder`` wrote, with the fp32 model; the shipped folder does not have it.

    Raises:
        CtiforgeError: `model` has no encoder, or `encoder` is not the one that it was made with.
    """
    small = load_model(model, threads=THREADS)
    if not isinstance(small, BlendModel):
        raise CtiforgeError(f"{model} is no blend with an encoder: nothing to compare", fix="--model accurate")
    found: dict[str, Any] = {"model": small.name, "model_digest": small.digest, "export": small.encoder.manifest["export"]}
    if encoder is None or not (encoder / _FP32).is_file():
        return found | {"cti_rcm": None, "why": f"no --encoder DIR with {_FP32} was given"}
    plain = with_fp32_encoder(small, encoder)
    rows = read_cti_rcm(tsv)
    texts, golds = [row["Description"] for row in rows], [row["GT"].strip() for row in rows]
    found["cti_rcm"] = {
        "data": tsv.name,
        "data_sha256": file_sha256(tsv),
        "policy": "nvd",
        "blend": _compare(small, plain, texts, golds),
        "encoder_alone": _compare(small.encoder, plain.encoder, texts, golds),
    }
    return found


def with_fp32_encoder(model: BlendModel, folder: Path) -> BlendModel:
    """Return the same blend with the encoder in fp32; a second encoder stays in 8 bits, and reads what the fp32 one embeds.

    Raises:
        CtiforgeError: the folder holds another encoder, or a damaged one.
    """
    small = model.encoder
    trained = small.manifest.get("made_from", small.digest)
    if (found := file_sha256(folder / "manifest.json")) != trained:
        raise CtiforgeError(
            f"{folder}: this encoder (SHA-256 {found[:12]}) is not the one in {model.name} ({trained[:12]})",
            fix="--encoder DIR is the folder that the shipped encoder was trained to",
        )
    from tokenizers import Tokenizer

    onnx = read_verified(folder / _FP32, small.manifest["reference"][_FP32])
    if model.second is not None:
        from ctiforge.train.second_encoder import with_token_embeddings

        onnx = with_token_embeddings(onnx)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    head = (folder / "head.npz").read_bytes()
    plain = EncoderModel(small.manifest, small.digest, onnx, tokenizer, head, threads=THREADS)
    return BlendModel(model.manifest, model.digest, plain, model.linear, model.second)


def _compare(small: CweModel, plain: CweModel, texts: Sequence[str], golds: Sequence[str]) -> dict[str, Any]:
    int8, fp32 = (_right(each, texts, golds) for each in (small, plain))
    return {"int8_top1": share(int8), "fp32_top1": share(fp32), "int8_against_fp32": paired(int8, fp32)}


def _right(model: CweModel, texts: Sequence[str], golds: Sequence[str]) -> list[bool]:
    scores = np.concatenate([model.score(list(texts[i : i + _BATCH]), "nvd").scores for i in range(0, len(texts), _BATCH)])
    return [model.labels[i] == gold for i, gold in zip(scores.argmax(axis=1), golds, strict=True)]
