"""What a fit says while it runs: lines for a person, ``metrics.jsonl``, and TensorBoard where it is installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from ctiforge.train.encoder_checkpoint import writing

__all__ = ["FitMetrics", "duration"]


class FitMetrics:
    """Writes the metrics of one fit. A resumed fit cuts off what was written after its checkpoint.

    Args:
        folder: the fit's folder.
        keep_bytes: length of ``metrics.jsonl`` at the checkpoint; 0 begins it anew.
        name: what the lines for a person begin with.
        every: seconds between these lines.
    """

    def __init__(
        self, folder: Path, *, keep_bytes: int, step: int, name: str, report: Callable[[str], None], every: float
    ) -> None:
        self._file = folder / "metrics.jsonl"
        self._folder = folder
        self._name = name
        self._report = report
        self._every = every
        self._since = time.monotonic()
        self._loss = self._weight = 0.0
        self._texts = self._steps = 0
        with writing(self._file, folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file.touch()
            if self._file.stat().st_size > keep_bytes:
                with self._file.open("r+b") as stream:
                    stream.truncate(keep_bytes)
        self._board = _tensorboard(folder / "tensorboard", step)

    @property
    def bytes(self) -> int:
        """Return the length of ``metrics.jsonl`` so far."""
        return self._file.stat().st_size

    def step(
        self, step: int, steps: int, epoch: float, *, loss: float, weight: float, texts: int, rate: float, norm: float
    ) -> None:
        """Count one step; say how it goes when it is time."""
        self._loss += loss * weight
        self._weight += weight
        self._texts += texts
        self._steps += 1
        spent = time.monotonic() - self._since
        if spent < self._every and step < steps:
            return
        mean = self._loss / max(self._weight, 1e-9)
        speed = self._texts / max(spent, 1e-9)
        left = spent / self._steps * (steps - step)
        self._report(
            f"{self._name}: step {step:,} of {steps:,}, epoch {epoch:.2f}, loss {mean:.4f}, {speed:,.1f} texts/s, "
            f"{duration(left)} left"
        )
        self._write({
            "step": step, "epoch": round(epoch, 4), "loss": mean, "learning_rate": rate, "gradient_norm": norm,
            "texts_per_second": round(speed, 2), "seconds_left": round(left, 1),
        })  # fmt: skip
        self._since = time.monotonic()
        self._loss = self._weight = 0.0
        self._texts = self._steps = 0

    def evaluation(self, step: int, scores: Mapping[str, Any], *, best: bool) -> None:
        """Write what was measured on the development split."""
        words = ", ".join(
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value:,}" for name, value in scores.items()
        )
        self._report(f"{self._name}: development after step {step:,}: {words}{' (best so far)' if best else ''}")
        self._write({"step": step, "development": dict(scores), "best": best})

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    def _write(self, line: dict[str, Any]) -> None:
        with writing(self._file, self._folder), self._file.open("ab") as stream:
            stream.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        if self._board is not None:
            numbers = {f"development/{name}": value for name, value in line.get("development", {}).items()}
            numbers |= {name: value for name, value in line.items() if isinstance(value, float)}
            for name, value in numbers.items():
                self._board.add_scalar(name, value, line["step"])


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step)


def duration(seconds: float) -> str:
    """Return ``2 h 05 min``, ``7 min`` or ``42 s``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
