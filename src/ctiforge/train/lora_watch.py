"""What a fine-tuning says while it runs: lines for a person, ``metrics.jsonl``, and samples of what the model writes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import torch
from transformers import TrainerCallback

from ctiforge.train.encoder_metrics import duration

__all__ = ["Watch"]

_EVERY_S = 15.0


class Watch(TrainerCallback):
    """A callback of the trainer.

    Args:
        folder: of the stage; ``metrics.jsonl`` and ``samples.jsonl`` are written there.
        done_steps: steps of the checkpoint that the run goes on from; later lines of an earlier run are cut off.
        prompts: tokens of development prompts, with the completions that the corpus has.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        report: Callable[[str], None],
        *,
        done_steps: int,
        tokenizer: Any,
        prompts: Sequence[tuple[str, list[int], str]],
        sample_tokens: int,
        end_token: int,
    ) -> None:
        self._folder = folder
        self._name = name
        self._report = report
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._sample_tokens = sample_tokens
        self._end_token = end_token
        self._began = self._last = time.monotonic()
        self._first_step = done_steps
        _cut_after(folder / "samples.jsonl", done_steps)
        self._seconds_before = _cut_after(folder / "metrics.jsonl", done_steps)

    @property
    def seconds(self) -> float:
        """Seconds spent on the stage, those of earlier runs up to their checkpoint included."""
        return self._seconds_before + time.monotonic() - self._began

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Write one line, and say how it goes where it is time."""
        if not logs or not state.is_world_process_zero:
            return
        now = time.monotonic()
        spent = max(now - self._began, 1e-9)
        done = state.global_step - self._first_step
        left = spent / done * (state.max_steps - state.global_step) if done else 0.0
        speed = logs.get("tokens", 0.0) / spent
        self._write(
            "metrics.jsonl",
            {"step": state.global_step, **logs, "tokens_per_second": round(speed, 1), "seconds": round(self.seconds, 1)},
        )
        if "eval_loss" in logs:
            self._report(
                f"{self._name}: development after step {state.global_step:,}: loss {logs['eval_loss']:.4f}, "
                f"token accuracy {logs.get('eval_token_accuracy', 0.0):.3f}"
            )
        elif "loss" in logs and (now - self._last >= _EVERY_S or state.global_step >= state.max_steps):
            self._last = now
            self._report(
                f"{self._name}: step {state.global_step:,} of {state.max_steps:,}, loss {logs['loss']:.4f}, token accuracy "
                f"{logs.get('token_accuracy', 0.0):.3f}, {speed:,.0f} tokens/s, {duration(left)} left"
            )

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Let the model complete development prompts, likeliest tokens only: no random number is used up."""
        if not state.is_world_process_zero:
            return
        was_training = model.training
        model.eval()
        for name, prompt, wanted in self._prompts:
            tokens = torch.tensor([prompt], device=model.device)
            with torch.no_grad():
                made = model.generate(
                    input_ids=tokens,
                    attention_mask=torch.ones_like(tokens),
                    max_new_tokens=self._sample_tokens,
                    do_sample=False,
                    use_cache=True,
                    eos_token_id=self._end_token,
                    pad_token_id=self._tokenizer.pad_token_id,
                )
            text = self._tokenizer.decode(made[0, len(prompt) :], skip_special_tokens=True)
            self._write("samples.jsonl", {"step": state.global_step, "id": name, "completion": text, "wanted": wanted})
            self._report(f"{self._name}: {name}: {text!r} (the corpus has {wanted!r})")
        model.train(was_training)

    def _write(self, name: str, line: dict[str, Any]) -> None:
        with (self._folder / name).open("ab") as stream:
            stream.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _cut_after(file: Path, step: int) -> float:
    """Remove the lines of later steps, and one that a kill left unfinished; return the ``seconds`` of the last that stays."""
    if not file.is_file():
        return 0.0
    kept = bytearray()
    seconds = 0.0
    for line in file.read_bytes().splitlines(keepends=True):
        try:
            words = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if words["step"] <= step:
            kept += line
            seconds = words.get("seconds", seconds)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    part.write_bytes(kept)
    part.replace(file)
    return seconds
