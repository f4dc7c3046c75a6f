"""What an earlier training left, to go on from: its weights, its vocabulary, and its head by label."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctiforge.core.errors import ModelError
from ctiforge.core.files import file_sha256, sha256
from ctiforge.models.encoder import ENCODER_FORMAT

if TYPE_CHECKING:
    import torch

__all__ = ["FittedRun", "find_fitted_run"]

_WEIGHTS = Path("run", "training", "weights.safetensors")


@dataclass(frozen=True, slots=True)
class FittedRun:
    """A folder that `ctiforge train encoder` wrote.

    Attributes:
        base_model: what it was fitted from, by the name in its recipe: the configuration is that model's.
        labels: of its head's rows.
        pad_id: of its vocabulary.
    """

    folder: Path
    base_model: str
    labels: tuple[str, ...]
    pad_id: int

    def digest(self) -> str:
        """Return the SHA-256 of the lines ``NAME SHA-256`` of its manifest and its weights."""
        files = (Path("manifest.json"), _WEIGHTS)
        return sha256("".join(f"{file.as_posix()} {file_sha256(self.folder / file)}\n" for file in files).encode())

    def weights(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return the weights in fp32 of the encoder and of the head, by the names that each has for itself.

        Raises:
            ModelError: they cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            stored = load_file(self.folder / _WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise ModelError(
                f"{self.folder / _WEIGHTS}: cannot read the weights ({error})", fix="copy the folder with its folder 'run'"
            ) from None
        parts = [
            {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
            for prefix in ("encoder.", "head.")
        ]
        return parts[0], parts[1]


def find_fitted_run(folder: Path) -> FittedRun | None:
    """Return the training whose folder this is, or None for any other folder.

    Raises:
        ModelError: the folder of a training lacks the weights that were fitted.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if manifest.get("format") != ENCODER_FORMAT:
        return None
    if not (folder / _WEIGHTS).is_file():
        raise ModelError(
            f"{folder} has no {_WEIGHTS}: nothing to go on from", fix="copy the folder with its folder 'run', or train it again"
        )
    return FittedRun(folder, manifest["recipe"]["base_model"], tuple(manifest["labels"]), int(manifest["pad_id"]))
