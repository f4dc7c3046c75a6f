"""Load a model that ranks weaknesses from its folder, whatever kind it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ctiforge.models.artefact import manifest_format
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.linear import load_linear_model

__all__ = ["load_cwe_model"]


def load_cwe_model(folder: str | os.PathLike[str], shipped: Mapping[str, Path], *, threads: int = 1) -> CweModel:
    """Load and verify a linear model, an encoder, a blend of both, or a fine-tuned language model.

    Args:
        shipped: folders of the models that ship with ctiforge, by name: a blend may name one of them as its part.
        threads: of a model with an encoder.

    Raises:
        MissingExtraError: the model needs packages that are not installed.
        ModelError: there is no such model, or it is damaged.
    """
    source = Path(folder)
    kind = manifest_format(source).partition("/")[0]
    if kind == "ctiforge-blend":
        from ctiforge.models.blend import load_blend  # the core need not have what these import

        return load_blend(source, shipped, threads=threads)
    if kind == "ctiforge-encoder":
        from ctiforge.models.encoder import load_encoder

        return load_encoder(source, threads=threads)
    if kind == "ctiforge-language-model":
        from ctiforge.models.language_classifier import load_language_classifier

        return load_language_classifier(source, threads=threads)
    return load_linear_model(source)
