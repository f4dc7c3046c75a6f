"""What an earlier training left, to go on from: its weights, its vocabulary, and its head by label."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctiforge.core.errors import InputError, ModelError
from ctiforge.core.files import file_sha256, sha256
from ctiforge.models.encoder import ENCODER_FORMAT
from ctiforge.train.encoder_onnx import FP32, INT8, read_onnx_weights
from ctiforge.train.encoder_recipe import EncoderRecipe

if TYPE_CHECKING:
    import torch

__all__ = ["FittedRun", "find_fitted_run"]

_CUT = ("sources", "exclude", "party_order", "split", "shift", "max_train", "seed")
"""Settings that decide which examples a training learns and which it keeps to be judged by."""
_WEIGHTS = Path("run", "training", "weights.safetensors")
_EXPORTED = (FP32, INT8)
"""Where the run's own weights are missing, as in a model that ships: what was exported, the exact one first."""


@dataclass(frozen=True, slots=True)
class FittedRun:
    """A folder that `ctiforge train encoder` wrote.

    Attributes:
        file: of its weights, below the folder: those of the run, or what was exported.
        recipe: its recipe.
        base_model: name or path of the Hugging Face model whose configuration the network has.
        labels: of its head's rows.
        pad_id: of its vocabulary.
    """

    folder: Path
    file: Path
    recipe: dict[str, Any]
    base_model: str
    labels: tuple[str, ...]
    pad_id: int

    def check_split(self, recipe: EncoderRecipe) -> None:
        """Check that a recipe develops on what this training has not learnt.

        Raises:
            InputError: it may not, for it cuts the examples in another way.
        """
        asked_for = recipe.model_dump(mode="json", include=set(_CUT))
        other = [name for name in _CUT if asked_for[name] != self.recipe.get(name)]
        if other:
            raise InputError(
                f"{self.folder} was trained with another {' and '.join(other)}, so it may have learnt what {recipe.name!r} is "
                "judged by",
                fix=f"copy {', '.join(other)} from the recipe in its manifest.json, or start from another base_model",
            )

    def digest(self) -> str:
        """Return the SHA-256 of the lines ``NAME SHA-256`` of its manifest and its weights."""
        files = (Path("manifest.json"), self.file)
        return sha256("".join(f"{file.as_posix()} {file_sha256(self.folder / file)}\n" for file in files).encode())

    def weights(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return the weights in fp32 of the encoder and of the head, by the names that each has for itself.

        Raises:
            ModelError: they cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if self.file != _WEIGHTS:
            stored = read_onnx_weights(self.folder / self.file)
        else:
            try:
                stored = load_file(self.folder / self.file)
            except (OSError, SafetensorError) as error:
                raise ModelError(
                    f"{self.folder / self.file}: cannot read the weights ({error})", fix="copy the folder with its folder 'run'"
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
    recipe = manifest["recipe"]
    mixed = recipe.get("fit", {}).get("start_share")  # then the run's weights are not yet those of the encoder
    wanted = [*([] if mixed else [_WEIGHTS]), *map(Path, _EXPORTED)]
    file = next((each for each in wanted if (folder / each).is_file()), None)
    if file is None:
        raise ModelError(
            f"{folder} has no {' and no '.join(str(each) for each in wanted)}: nothing to go on from",
            fix="copy the folder with its folder 'run', or train it again",
        )
    architecture = manifest["base_model"].get("architecture", recipe["base_model"])
    return FittedRun(folder, file, recipe, architecture, tuple(manifest["labels"]), int(manifest["pad_id"]))
