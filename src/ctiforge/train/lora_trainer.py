"""TRL's trainer with three changes: the head on completion tokens only, a fixed order of examples, checkpoints that are whole.

A vocabulary of 262,144 words makes the head most of a small model's work: transformers computes it for the positions that
a boolean ``logits_to_keep`` names, here those whose next token is in a completion.
"""

from __future__ import annotations

import errno
import json
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy
from trl import SFTTrainer  # type: ignore[attr-defined]

from ctiforge.core.errors import InputError, ModelError
from ctiforge.core.files import file_sha256, write_json
from ctiforge.train.chat_examples import IGNORED, Encoded

if TYPE_CHECKING:
    from torch.utils.data import Dataset, Sampler

__all__ = ["CompletionTrainer", "GroupCollator", "completion_loss", "example_order", "last_checkpoint", "rows"]

_COMPLETE = "complete.json"
_BUCKET_GROUPS = 64


def example_order(lengths: Sequence[int], epochs: int, group: int, seed: int, *, by_length: bool) -> list[int]:
    """Return which example comes when: every epoch has every example once, in an order that seed and epoch decide.

    Args:
        lengths: tokens of each example.
        group: examples computed at once. With `by_length`, stretches of 64 groups of a shuffled epoch are sorted, cut into
            groups and these shuffled: groups have little padding, their order is random.
    """
    order: list[int] = []
    for epoch in range(epochs):
        draw = random.Random(f"{seed}/{epoch}")
        shuffled = draw.sample(range(len(lengths)), len(lengths))
        order += _grouped(shuffled, lengths, group, draw) if by_length else shuffled
    return order


def _grouped(shuffled: Sequence[int], lengths: Sequence[int], group: int, draw: random.Random) -> Iterator[int]:
    for start in range(0, len(shuffled), group * _BUCKET_GROUPS):
        bucket = sorted(shuffled[start : start + group * _BUCKET_GROUPS], key=lambda each: lengths[each])
        groups = [bucket[at : at + group] for at in range(0, len(bucket), group)]
        rest = [groups.pop()] if groups and len(groups[-1]) < group else []  # a short group would break up all that follow
        draw.shuffle(groups)
        for each in (*groups, *rest):
            yield from each


class GroupCollator:
    """Makes a group of examples into tensors: padded on the right, or one row in which positions begin anew.

    Without an attention mask, transformers keeps attention within each stretch of positions that begins at 0.
    """

    def __init__(self, pad_token: int, *, packing: bool) -> None:
        self._pad = pad_token
        self._packing = packing

    def __call__(self, group: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return ``input_ids`` and ``labels`` (rows, columns) with ``attention_mask`` or, packed, ``position_ids``."""
        ids = [torch.tensor(example["input_ids"]) for example in group]
        labels = [torch.tensor(example["labels"]) for example in group]
        if self._packing:
            for each in labels:
                each[0] = IGNORED  # it would be predicted from the example before
            positions = torch.cat([torch.arange(len(each)) for each in ids])
            return {"input_ids": torch.cat(ids)[None], "labels": torch.cat(labels)[None], "position_ids": positions[None]}
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(ids, batch_first=True, padding_value=self._pad),
            "labels": pad(labels, batch_first=True, padding_value=IGNORED),
            "attention_mask": pad([torch.ones_like(each) for each in ids], batch_first=True),
        }


def completion_loss(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the summed cross-entropy of the completion tokens, their number, and how many were the likeliest."""
    inputs = dict(inputs)
    labels = inputs.pop("labels")[:, 1:]
    wanted = labels != IGNORED
    keep = torch.nn.functional.pad(wanted, (0, 1))
    logits = model(**inputs, use_cache=False, logits_to_keep=keep).logits
    gold = labels[wanted]
    return cross_entropy(logits.float(), gold, reduction="sum"), wanted.sum(), (logits.argmax(-1) == gold).sum()


class CompletionTrainer(SFTTrainer):
    """See the module. Examples come tokenized, in their order; `resume_from_checkpoint` goes on at the exact place."""

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        return torch.utils.data.SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)  # type: ignore[arg-type]

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Return the mean loss of a completion token.

        Raises:
            ModelError: it is not a number.
        """
        summed, count, right = completion_loss(model, inputs)
        total = count if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
        loss = summed / total.clamp(min=1)
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1}: the weights have left the numbers",
                fix="lower optimization.learning_rate or take precision: fp32, then the same command with --restart; the last "
                "checkpoint is intact",
            )
        if model.training:
            self._total_train_tokens += inputs["input_ids"].numel()
            if self.args.average_tokens_across_devices and num_items_in_batch is not None:
                loss = loss * self.accelerator.num_processes
        mode = "train" if model.training else "eval"
        self._metrics[mode]["token_accuracy"].append((right / count.clamp(min=1)).item())
        self._metrics[mode]["tokens"] = [self._total_train_tokens]
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir or ".") / f"checkpoint-{self.state.global_step}"
        shutil.rmtree(folder, ignore_errors=True)  # the rest of a run that was killed while it wrote
        try:
            super(SFTTrainer, self)._save_checkpoint(model, trial)  # SFTTrainer adds a card that says nothing
            if self.args.should_save:
                digests = {file.name: file_sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}
                write_json(folder / _COMPLETE, digests)
        except Exception as error:
            if not _is_disk_full(error):
                raise
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(
                f"{folder}: cannot write, the disk is full; the checkpoint before is intact",
                fix="make room or move --out to a larger disk; the same command goes on",
            ) from error


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end and is undamaged; what is not is removed."""
    found: Path | None = None
    numbered = ((int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := re.search(r"-(\d+)$", path.name)))
    for _, path in sorted(numbered, reverse=True):
        if found is None and _is_whole(path):
            found = path
        elif found is None:
            shutil.rmtree(path)
    return found


def _is_whole(folder: Path) -> bool:
    try:
        digests: dict[str, str] = json.loads((folder / _COMPLETE).read_text("utf-8"))
        return all(file_sha256(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError):
        return False


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    text = str(error)
    return "No space left" in text or "file write failed" in text or "PytorchStreamWriter failed" in text


def rows(examples: Sequence[Encoded]) -> dict[str, list[Any]]:
    """Return the columns of a data set of examples."""
    return {"input_ids": [list(each.input_ids) for each in examples], "labels": [each.labels for each in examples]}
