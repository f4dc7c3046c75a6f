"""The loop that fits a network to an objective: exact to resume after a kill, and loud about what goes wrong."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import InputError, RecipeError
from ctiforge.train.encoder_batches import bucketed_batches
from ctiforge.train.encoder_checkpoint import Checkpoint, FitFolder, Progress, pack_optimizer, unpack_optimizer
from ctiforge.train.encoder_metrics import FitMetrics
from ctiforge.train.encoder_objectives import Objective

if TYPE_CHECKING:
    import torch

__all__ = ["Controls", "Device", "Schedule", "choose_device", "rate_factor", "run_fit"]

Evaluate = Callable[["torch.nn.ModuleDict"], tuple[float, dict[str, Any]]]
"""Returns a value to choose by (higher is better) and what was measured."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What decides a fit besides the objective; see `ctiforge.train.encoder_recipe.EncoderFit`."""

    epochs: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    layer_decay: float
    warmup: float
    weight_decay: float
    clip: float
    evaluations_per_epoch: int
    patience: int
    seed: int
    freeze_layers: int = 0


@dataclass(frozen=True, slots=True)
class Controls:
    """What changes nothing in the result (but for rounding): when to write checkpoints and lines, and how to fit in memory.

    Attributes:
        checkpoint_steps, checkpoint_seconds: a checkpoint is written after that many steps and after that time, whichever is
            first.
        micro_batch: texts computed at once; a larger batch is added up from such parts. None: all of it.
    """

    checkpoint_steps: int = 500
    checkpoint_seconds: float = 120.0
    report_seconds: float = 15.0
    micro_batch: int | None = None
    report: Callable[[str], None] = lambda message: None


@dataclass(frozen=True, slots=True)
class Device:
    """Where the fit runs, and whether matrix products are in bf16."""

    device: torch.device
    precision: str

    def autocast(self) -> Any:
        """Return the context that computes in the precision."""
        import torch

        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def choose_device(name: str, precision: str) -> Device:
    """Return the device by name (``auto``: a CUDA or ROCm GPU if there is one) and the precision that it computes in.

    Raises:
        InputError: there is no such device, or it has no bf16.
    """
    import torch

    try:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"no device {name!r} ({str(error).splitlines()[0]})", fix="--device auto, cpu, cuda or cuda:N"
        ) from None
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported()
    else:
        able = "amx" in torch.backends.cpu.get_cpu_capability().lower() or bool(torch.cpu._is_avx512_bf16_supported())
    if precision == "bf16" and not able:
        raise InputError(f"{device} does not compute in bf16", fix="set precision to auto or fp32 in the recipe")
    return Device(device, "bf16" if able and precision != "fp32" else "fp32")


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the share of the highest learning rate at a step (0, 1, ...): up from near zero in the warm-up, then down to
    near zero, both in a straight line."""
    rising = round(warmup * steps)
    return (step + 1) / (rising + 1) if step < rising else (steps - step) / (steps - rising)


def run_fit(
    network: torch.nn.ModuleDict,
    objective: Objective,
    schedule: Schedule,
    folder: FitFolder,
    device: Device,
    *,
    name: str,
    evaluate: Evaluate | None = None,
    controls: Controls | None = None,
) -> Progress:
    """Fit `network`, in place, or load the result of a fit that is finished; go on from a checkpoint where there is one.

    On the CPU with the same number of threads, a fit that was killed and resumed gives the same weights to the bit.

    Raises:
        RecipeError: the loss or the gradient is not a number.
        InputError: memory or disk does not suffice, or the folder holds another fit. Checkpoints stay intact.
    """
    finished = folder.finished()
    if finished is None:
        finished = _Fit(network, objective, schedule, folder, device, name, evaluate, controls or Controls()).run()
    network.load_state_dict(folder.load_weights())
    return finished


class _Fit:
    def __init__(
        self,
        network: torch.nn.ModuleDict,
        objective: Objective,
        schedule: Schedule,
        folder: FitFolder,
        device: Device,
        name: str,
        evaluate: Evaluate | None,
        controls: Controls,
    ) -> None:
        self.network = network.to(device.device)
        self.objective = objective
        self.schedule = schedule
        self.folder = folder
        self.device = device
        self.name = name
        self.evaluate = evaluate
        self.controls = controls
        self.lengths = objective.texts.lengths
        self.per_epoch = math.ceil(len(self.lengths) / schedule.batch_size)
        self.steps = self.per_epoch * schedule.epochs
        turns = schedule.evaluations_per_epoch
        self.turns = {math.ceil(self.per_epoch * (k + 1) / turns) for k in range(turns)}
        self.optimizer, self.rates = _optimizer(self.network, schedule, device.device)
        self.progress = Progress()
        self.saved = time.monotonic()

    def run(self) -> Progress:
        self._start()
        metrics = FitMetrics(
            self.folder.path, keep_bytes=self.progress.metrics_bytes, step=self.progress.step, name=self.name,
            report=self.controls.report, every=self.controls.report_seconds,
        )  # fmt: skip
        try:
            for epoch in range(self.progress.epoch, self.schedule.epochs):
                batches = bucketed_batches(self.lengths, self.schedule.batch_size, (self.schedule.seed, epoch))
                while self.progress.place < len(batches) and not self.progress.stopped:
                    self._step(batches[self.progress.place], metrics)
                if self.progress.stopped:
                    break
                self.progress.epoch, self.progress.place = epoch + 1, 0
        finally:
            metrics.close()
        self.folder.finish(self.progress, self.network.state_dict())
        return self.progress

    def _start(self) -> None:
        import torch

        checkpoint = self.folder.load()
        torch.manual_seed(self.schedule.seed)
        if checkpoint is None:
            return
        self.progress = checkpoint.progress
        self.network.load_state_dict(checkpoint.network)
        unpack_optimizer(self.optimizer, checkpoint.optimizer)
        torch.set_rng_state(checkpoint.random["cpu"])
        if self.device.device.type == "cuda":
            torch.cuda.set_rng_state(checkpoint.random["device"], self.device.device)
        self.controls.report(f"{self.name}: going on after step {self.progress.step:,} of {self.steps:,}")

    def _step(self, rows: npt.NDArray[np.int64], metrics: FitMetrics) -> None:
        import torch

        begun = time.monotonic()
        progress = self.progress
        factor = rate_factor(progress.step, self.steps, self.schedule.warmup)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.network.train()
        self.optimizer.zero_grad()
        weight = max(self.objective.weight(rows), 1e-9)
        with self._memory(rows):
            loss = self._gradients(rows, weight)
            norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                self._not_a_number(loss, norm)
            self.optimizer.step()
        progress.step += 1
        progress.place += 1
        progress.seconds += time.monotonic() - begun
        epoch = progress.step / self.per_epoch
        metrics.step(
            progress.step,
            self.steps,
            epoch,
            loss=loss,
            weight=weight,
            texts=len(rows),
            rate=max(self.rates) * factor,
            norm=norm,
        )
        if self.evaluate is not None and progress.place in self.turns:
            self._evaluate(metrics)
        elif (
            progress.step % self.controls.checkpoint_steps == 0
            or time.monotonic() - self.saved > self.controls.checkpoint_seconds
        ):
            self._save(metrics)

    def _gradients(self, rows: npt.NDArray[np.int64], weight: float) -> float:
        size = self.controls.micro_batch or len(rows)
        total = 0.0
        for start in range(0, len(rows), size):
            draw = (self.schedule.seed, self.progress.step, start)
            with self.device.autocast():
                loss = self.objective.loss(self.network, rows[start : start + size], draw, self.device.device) / weight
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _evaluate(self, metrics: FitMetrics) -> None:
        assert self.evaluate is not None
        begun = time.monotonic()
        progress = self.progress
        self.network.eval()
        value, scores = self.evaluate(self.network)
        best = progress.best_step < 0 or value > progress.best_value
        if best:
            progress.best_step, progress.best_value, progress.best_scores, progress.stale = progress.step, value, scores, 0
            self.folder.save_best(progress.step, self.network.state_dict())
        else:
            progress.stale += 1
            progress.stopped = progress.stale >= self.schedule.patience
        progress.seconds += time.monotonic() - begun
        metrics.evaluation(progress.step, scores, best=best)
        if progress.stopped:
            self.controls.report(f"{self.name}: no better for {progress.stale} evaluations, stopping early")
        self._save(metrics)

    def _save(self, metrics: FitMetrics) -> None:
        import torch

        self.progress.metrics_bytes = metrics.bytes
        random = {"cpu": torch.get_rng_state()}
        if self.device.device.type == "cuda":
            random["device"] = torch.cuda.get_rng_state(self.device.device)
        self.folder.save(Checkpoint(self.progress, self.network.state_dict(), pack_optimizer(self.optimizer), random))
        self.saved = time.monotonic()

    def _not_a_number(self, loss: float, norm: float) -> None:
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's length is {norm}"
        raise RecipeError(
            f"{self.name}: {what} at step {self.progress.step + 1:,}; the last checkpoint is intact",
            fix="lower learning_rate or head_learning_rate in the recipe, or set precision to fp32; then --restart",
        )

    @contextmanager
    def _memory(self, rows: npt.NDArray[np.int64]) -> Iterator[None]:
        """Turn an allocation that fails into a message: torch says so in three ways."""
        import torch

        try:
            yield
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            words = str(error).lower()
            ours = isinstance(error, torch.OutOfMemoryError | MemoryError) or ("memory" in words and "alloc" in words)
            if not ours:
                raise
            size = min(self.controls.micro_batch or len(rows), len(rows))
            raise InputError(
                f"{self.name}: out of memory at step {self.progress.step + 1:,}: {size} texts of up to "
                f"{self.lengths[rows].max()} tokens at once; the last checkpoint is intact",
                fix=f"the same command with --micro-batch {max(1, size // 2)}",
            ) from None


_LAYER = re.compile(r"\.layers?\.(\d+)\.")


def _optimizer(
    network: torch.nn.ModuleDict, schedule: Schedule, device: torch.device
) -> tuple[torch.optim.Optimizer, list[float]]:
    """Return AdamW with a group for each pair of learning rate and weight decay, and the groups' highest rates.

    A layer learns at `layer_decay` times the rate of the one above it, the embeddings as a layer below the first (Howard and
    Ruder 2018, arXiv 1801.06146, section 3.2; Sun et al. 2019, arXiv 1905.05583, section 5.3.4). Biases and norms do not decay.
    """
    import torch

    depths = [int(found[1]) for name, _ in network.named_parameters() if (found := _LAYER.search(name))]
    layers = max(depths, default=-1) + 1
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("encoder."):
            found = _LAYER.search(name)
            depth = int(found[1]) + 1 if found else (0 if "embed" in name else layers)
            if schedule.freeze_layers and depth <= schedule.freeze_layers:
                parameter.requires_grad_(False)
                continue
            rate = schedule.learning_rate * schedule.layer_decay ** (layers - depth)
        else:
            rate = schedule.head_learning_rate
        decay = schedule.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    settings = [{"params": parameters, "weight_decay": decay} for (_, decay), parameters in groups.items()]
    fused = device.type in ("cpu", "cuda")
    return torch.optim.AdamW(settings, lr=schedule.learning_rate, fused=fused), [rate for rate, _ in groups]
