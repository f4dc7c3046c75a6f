"""The trained reader: a small network that scores the features of each option; loaded from one file without pickle."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctiforge.ask.reader.features import FEATURES, contrast
from ctiforge.core.errors import ModelError
from ctiforge.core.files import sha256

__all__ = ["FORMAT", "HEADS", "Head", "ReaderModel", "load_reader"]

Floats = npt.NDArray[np.float32]

FORMAT: Final = "ctiforge-choice-reader/1"
HEADS: Final = ("words", "words-negated", "meaning", "meaning-negated")
"""Without and with embeddings, for questions as they are and for those that ask what does not fit."""
_ARRAYS: Final = ("mean", "scale", "linear", "hidden", "bias", "out")
_FIX: Final = "train it again: ctiforge kb train-reader, or install ctiforge again for the one that comes with it"


@dataclass(frozen=True, slots=True)
class Head:
    """One network: standardised features, a linear score and a hidden layer of rectified units beside it.

    Shapes, for n inputs and h units: `mean`, `scale`, `linear` (n,), `hidden` (n, h), `bias`, `out` (h,).
    """

    mean: Floats
    scale: Floats
    linear: Floats
    hidden: Floats
    bias: Floats
    out: Floats

    def scores(self, inputs: Floats) -> Floats:
        """Return a score for each row of inputs, shape (options,)."""
        standard = np.clip((inputs - self.mean) / self.scale, -6.0, 6.0)
        found: Floats = standard @ self.linear + np.maximum(standard @ self.hidden + self.bias, 0.0) @ self.out
        return found


@dataclass(frozen=True, slots=True)
class ReaderModel:
    """All heads and what is known of the training; `digest` is the file's SHA-256."""

    heads: Mapping[str, Head]
    about: Mapping[str, Any]
    digest: str

    @property
    def reads_meaning(self) -> bool:
        """Whether it learnt from embeddings; where it did not, it must be given none."""
        return "meaning" in self.about.get("held_out", {})

    def probabilities(self, features: Floats, *, negated: bool, meaning: bool) -> npt.NDArray[np.float64]:
        """Return the probability of each option being the one that is asked for, float64, shape (options,)."""
        head = self.heads[("meaning" if meaning else "words") + ("-negated" if negated else "")]
        scores = head.scores(contrast(features)).astype(np.float64)
        weights = np.exp(scores - scores.max())
        found: npt.NDArray[np.float64] = weights / weights.sum()
        return found

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        arrays: dict[str, npt.NDArray[Any]] = {
            f"{name}/{part}": getattr(head, part).astype(np.float32) for name, head in self.heads.items() for part in _ARRAYS
        }
        about = json.dumps({**self.about, "format": FORMAT, "features": list(FEATURES)}, sort_keys=True).encode()
        stream = io.BytesIO()
        np.savez_compressed(stream, about=np.frombuffer(about, dtype=np.uint8), **arrays)  # type: ignore[arg-type]
        return stream.getvalue()


def load_reader(path: str | Path | None = None) -> ReaderModel:
    """Load a reader, by default the one that comes with the package.

    Raises:
        ModelError: the file is missing, damaged, of another format, or made for other features.
    """
    name = str(path or "the reader that comes with ctiforge")
    try:
        data = (
            (resources.files("ctiforge.ask.reader") / "data" / "reader.npz").read_bytes()
            if path is None
            else Path(path).read_bytes()
        )
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror or error}", fix=_FIX) from None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            about: dict[str, Any] = json.loads(held["about"].tobytes())
            heads = {head: Head(*(held[f"{head}/{part}"] for part in _ARRAYS)) for head in HEADS}
    except Exception as error:  # a damaged archive raises many kinds
        raise ModelError(f"{name}: damaged: {error}", fix=_FIX) from None
    if about.get("format") != FORMAT or about.get("features") != list(FEATURES):
        raise ModelError(f"{name}: made by another version of ctiforge ({about.get('format')})", fix=_FIX)
    return ReaderModel(heads, about, sha256(data))
