"""A second encoder of a blend: it begins where the first one's embeddings end, so it has none of its own.

A folder that `ctiforge train blend --second` wrote: ``manifest.json`` and ``model.int8.onnx.zst``, whose inputs are the first
encoder's ``token_embeddings`` and the attention mask; a file whose SHA-256 differs from the manifest's is refused. Zstandard
takes a sixth off weights in 8 bits, which are not evenly spread.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from ctiforge.models.artefact import not_a_manifest, read_manifest, read_verified
from ctiforge.models.encoder import EXTRA, TOKEN_EMBEDDINGS
from ctiforge.models.onnx_runtime import open_session

__all__ = ["SECOND_ENCODER_FORMAT", "SECOND_ENCODER_MODEL", "SecondEncoder", "load_second_encoder"]

SECOND_ENCODER_FORMAT = "ctiforge-second-encoder/1"
SECOND_ENCODER_MODEL = "model.int8.onnx.zst"

Floats = npt.NDArray[np.float32]


class SecondEncoder:
    """A loaded second encoder.

    Attributes:
        name, labels, manifest, digest: see `ctiforge.models.cwe_model.CweModel`.
    """

    def __init__(self, manifest: dict[str, Any], digest: str, onnx: bytes, *, threads: int = 1) -> None:
        self.manifest = manifest
        self.digest = digest
        self.name: str = manifest["name"]
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self._session = open_session(onnx, threads=threads, extra=EXTRA)

    def logits(self, token_embeddings: Sequence[Floats]) -> Floats:
        """Return the logits of B texts, read one at a time like `ctiforge.models.encoder.EncoderModel.encode` does.

        Args:
            token_embeddings: B arrays of the first encoder, float32, shape (T, H); no token is padding.

        Returns:
            Float32, shape (B, K).
        """
        logits = np.zeros((len(token_embeddings), len(self.labels)), dtype=np.float32)
        for row, embedded in enumerate(token_embeddings):
            given = {TOKEN_EMBEDDINGS: embedded[None], "attention_mask": np.ones((1, len(embedded)), dtype=np.int64)}
            logits[row] = self._session.run(["logits"], given)[0][0]
        return logits


def load_second_encoder(folder: str | os.PathLike[str], *, threads: int = 1) -> SecondEncoder:
    """Load and verify a second encoder's folder.

    Args:
        threads: see `ctiforge.models.encoder.load_encoder`.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ModelError: a file is missing or damaged, or of another format.
    """
    source = Path(folder)
    manifest, digest = read_manifest(source, SECOND_ENCODER_FORMAT, fix="make one: ctiforge train blend --help")
    try:
        packed = read_verified(source / SECOND_ENCODER_MODEL, manifest["files"].get(SECOND_ENCODER_MODEL))
        onnx = zstandard.ZstdDecompressor().decompress(packed)
        return SecondEncoder(manifest, digest, onnx, threads=threads)
    except (KeyError, TypeError, ValueError, AttributeError, zstandard.ZstdError) as error:
        raise not_a_manifest(source, error) from None
