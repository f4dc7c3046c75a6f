"""Checkpoints of a fit: one file of tensors and words, no pickle, replaced in one move, so that a kill leaves a whole one."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctiforge.core.errors import InputError
from ctiforge.core.files import write_bytes

if TYPE_CHECKING:
    import torch

__all__ = ["Checkpoint", "FitFolder", "Progress", "pack_optimizer", "unpack_optimizer", "writing"]

_RNG = "rng."
_NETWORK = "network."
_OPTIMIZER = "optimizer."


@dataclass(slots=True)
class Progress:
    """Where a fit is: `step` steps are done, of which the epoch and the place in it follow, for the order of the batches
    depends on seed and epoch only.

    Attributes:
        best_step, best_value: the best evaluation so far (higher is better), step -1 before the first.
        best_scores: what was measured there.
        stale: evaluations since then.
        seconds: time spent fitting, over all runs.
        metrics_bytes: length of the metrics file; what is written after the checkpoint is cut off by a resumed run.
        stopped: early stopping has ended the fit.
    """

    step: int = 0
    epoch: int = 0
    place: int = 0
    best_step: int = -1
    best_value: float = 0.0
    best_scores: dict[str, Any] = field(default_factory=dict)
    stale: int = 0
    seconds: float = 0.0
    metrics_bytes: int = 0
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that a fit needs to go on as if it had never stopped."""

    progress: Progress
    network: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    random: dict[str, torch.Tensor]


class FitFolder:
    """The files of one fit: ``checkpoint.safetensors``, ``best-STEP.safetensors``, ``weights.safetensors``, ``done.json``.

    Args:
        fingerprint: what the fit depends on; files of another fingerprint are refused.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint

    @property
    def weights(self) -> Path:
        """Return the file of the finished fit's weights."""
        return self.path / "weights.safetensors"

    def load(self) -> Checkpoint | None:
        """Return the last checkpoint, or None where there is none.

        Raises:
            InputError: it is damaged, or of a fit by another recipe, data, base model, device or precision.
        """
        from safetensors import SafetensorError, safe_open

        file = self.path / "checkpoint.safetensors"
        if not file.exists():
            return None
        try:
            with safe_open(file, framework="pt") as stored:
                words = json.loads(stored.metadata()["ctiforge"])
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}: not a checkpoint ({error})", fix="start again with --restart") from None
        self._check(words["fingerprint"], file)
        parts = [
            {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            for prefix in (_NETWORK, _OPTIMIZER, _RNG)
        ]
        return Checkpoint(Progress(**words["progress"]), *parts)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, then remove the best weights that it no longer names.

        Raises:
            InputError: the disk is full or cannot be written; the checkpoint before is intact.
        """
        tensors = {_NETWORK + name: tensor for name, tensor in checkpoint.network.items()}
        tensors |= {_OPTIMIZER + name: tensor for name, tensor in checkpoint.optimizer.items()}
        tensors |= {_RNG + name: tensor for name, tensor in checkpoint.random.items()}
        words = {"fingerprint": self.fingerprint, "progress": asdict(checkpoint.progress)}
        self._write("checkpoint.safetensors", tensors, {"ctiforge": json.dumps(words)})
        self._remove_best(but=checkpoint.progress.best_step)

    def save_best(self, step: int, network: Mapping[str, torch.Tensor]) -> None:
        """Keep the weights of a step beside those of the best before; `save` removes the ones that are no longer needed."""
        self._write(f"best-{step}.safetensors", network, {})

    def finish(self, progress: Progress, network: Mapping[str, torch.Tensor]) -> None:
        """Write the weights of the best evaluation, or those given where there was none, and remove everything else."""
        if progress.best_step >= 0:
            self._write("weights.safetensors", self._tensors(self.path / f"best-{progress.best_step}.safetensors"), {})
        else:
            self._write("weights.safetensors", network, {})
        words = {"fingerprint": self.fingerprint, "progress": asdict(progress)}
        with writing(self.path / "done.json", self.path):
            write_bytes(self.path / "done.json", json.dumps(words, indent=2, sort_keys=True).encode())
        self._remove_best(but=None)
        (self.path / "checkpoint.safetensors").unlink(missing_ok=True)

    def finished(self) -> Progress | None:
        """Return how the fit ended, or None if it has not.

        Raises:
            InputError: it was a fit by another recipe, data, base model, device or precision.
        """
        file = self.path / "done.json"
        if not file.exists():
            return None
        words = json.loads(file.read_text("utf-8"))
        self._check(words["fingerprint"], file)
        return Progress(**words["progress"])

    def load_weights(self) -> dict[str, torch.Tensor]:
        """Return the weights of the finished fit."""
        return self._tensors(self.weights)

    def _tensors(self, file: Path) -> dict[str, torch.Tensor]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file}: cannot read the weights ({error})", fix="start again with --restart") from None

    def _check(self, fingerprint: str, file: Path) -> None:
        if fingerprint != self.fingerprint:
            raise InputError(
                f"{file} is of another recipe, data, base model, device or precision, so it cannot be continued",
                fix="name another --out, or start again with --restart",
            )

    def _write(self, name: str, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> None:
        from safetensors.torch import save

        data = save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, metadata or None)
        with writing(self.path / name, self.path):
            write_bytes(self.path / name, data)

    def _remove_best(self, but: int | None) -> None:
        for file in self.path.glob("best-*.safetensors"):
            if but is None or file.name != f"best-{but}.safetensors":
                file.unlink(missing_ok=True)


@contextmanager
def writing(file: Path, folder: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into a message that names the file and says what is left in the fit's folder.

    Raises:
        InputError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        left = "the last checkpoint is intact" if (folder / "checkpoint.safetensors").exists() else "there is no checkpoint yet"
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        raise InputError(
            f"{file}: cannot write ({why}); {left}", fix="make room or name another --out; the same command goes on"
        ) from None


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimizer's tensors by ``NUMBER.NAME``, numbers in the order of its parameters."""
    import torch

    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": value if isinstance(value, torch.Tensor) else torch.tensor(float(value))
        for number, values in state.items()
        for name, value in values.items()
    }


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give the optimizer the state that `pack_optimizer` returned."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
