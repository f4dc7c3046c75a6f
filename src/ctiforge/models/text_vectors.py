"""What a model makes of a text besides scores: a vector, so that texts can be compared.

An encoder, or a blend with one, gives the mean of its token states, of Euclidean length 1; a linear model the TF-IDF values
of the n-grams it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctiforge.models.cwe_model import CweModel, ScoredTexts
from ctiforge.models.linear import Features, Floats, LinearModel, ScoredByNgrams

if TYPE_CHECKING:
    from ctiforge.models.encoder import EncoderModel

__all__ = ["VectorModel", "ngram_model", "text_embeddings", "text_ngrams", "vector_model"]

VectorModel: TypeAlias = "EncoderModel | LinearModel"


def vector_model(model: CweModel) -> VectorModel:
    """Return the model whose vectors stand for `model`: itself, or the encoder of a blend."""
    if isinstance(model, LinearModel):
        return model
    from ctiforge.models.blend import BlendModel  # the linear model needs neither
    from ctiforge.models.encoder import EncoderModel

    found = model.encoder if isinstance(model, BlendModel) else model
    if not isinstance(found, EncoderModel):
        raise TypeError(f"{type(model).__name__} makes no vectors")
    return found


def ngram_model(model: CweModel) -> LinearModel | None:
    """Return `model` if it is linear, the linear model of a blend, or None for an encoder alone."""
    if isinstance(model, LinearModel):
        return model
    from ctiforge.models.blend import BlendModel

    return model.linear if isinstance(model, BlendModel) else None


def text_ngrams(model: LinearModel, texts: list[str], scored: ScoredTexts | None = None) -> Features:
    """Return the n-grams of B texts; those in `scored` if the texts were scored before by `model` or a blend of it."""
    by_ngrams = scored if isinstance(scored, ScoredByNgrams) else getattr(scored, "by_ngrams", None)
    return by_ngrams.features if isinstance(by_ngrams, ScoredByNgrams) else model.features(texts)


def text_embeddings(model: EncoderModel, texts: list[str], scored: ScoredTexts | None = None) -> Floats:
    """Return vectors of length 1 for B texts: float32, shape (B, H); those in `scored` are not computed again.

    Args:
        scored: the same texts as `model`, or a blend of it, has scored them.
    """
    from ctiforge.models.blend import ScoredByBlend
    from ctiforge.models.encoder import ScoredByEncoder

    if isinstance(scored, ScoredByEncoder):
        vectors = scored.encoded.embeddings
    elif isinstance(scored, ScoredByBlend) and scored.asked:
        vectors = np.zeros((len(texts), scored.encoded.embeddings.shape[1]), dtype=np.float32)
        vectors[list(scored.asked)] = scored.encoded.embeddings[list(scored.asked.values())]
        if rest := [i for i in range(len(texts)) if i not in scored.asked]:
            vectors[rest] = model.encode([texts[i] for i in rest]).embeddings
    else:
        vectors = model.encode(texts).embeddings
    lengths = np.sqrt(np.einsum("bh,bh->b", vectors, vectors))[:, None]
    unit: Floats = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
