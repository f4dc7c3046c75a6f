"""What one LoRA training step keeps in memory, found by taking the step without numbers.

The model is made and run in torch's fake mode: every operation gives tensors of the right shape and type without storage, so
the bytes that live at any moment are counted for every architecture that transformers knows, in a second and from its
configuration alone. What is saved for the way back is what autograd really saves, and not a formula.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["LiveBytes", "TracedStep", "trace_step"]


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are alive, and the most there were, while it is entered.

    Attributes:
        now: bytes alive.
        peak: the most so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._known: set[int] = set()

    def add(self, tensor: torch.Tensor) -> None:
        """Count a tensor that was made before; views of what is counted count once."""
        storage = tensor.untyped_storage()
        key = id(storage)
        if key not in self._known:
            size = storage.nbytes()
            self._known.add(key)
            weakref.finalize(storage, self._drop, key, size)
            self.now += size
            self.peak = max(self.peak, self.now)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it returns."""
        found = func(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, torch.Tensor):
                self.add(each)
        return found


@dataclass(frozen=True, slots=True)
class TracedStep:
    """What a step holds.

    Attributes:
        peak: bytes of all tensors that are alive at once, at most: weights, the adapter's gradients, activations, logits. The
            optimizer's moments are not among them.
        trainable: numbers in the adapter.
    """

    peak: int
    trainable: int


def trace_step(
    config: Any,
    *,
    rank: int,
    targets: str,
    tokens: int,
    batch: int,
    precision: Literal["bf16", "fp32"],
    completion_tokens: int,
    checkpointing: bool,
) -> TracedStep:
    """Take a forward and a backward pass; gradients are there from the start, as with accumulation.

    Args:
        config: of a causal language model in transformers.
        targets: regular expression of the layers that get an adapter.
        tokens: of an example; `batch` of them are computed at once.
        completion_tokens: of an example, at its end: the head is computed for these.
    """
    with warnings.catch_warnings(action="ignore"), FakeTensorMode() as fake:
        model = _fake_model(config, rank, targets, torch.bfloat16 if precision == "bf16" else torch.float32, fake)
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable()
        model.train()
        counted = LiveBytes()
        for weight in model.parameters():
            if weight.requires_grad:
                weight.grad = torch.zeros_like(weight)
                counted.add(weight.grad)
            counted.add(weight)
        with counted, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            ids = torch.zeros((batch, tokens), dtype=torch.long)
            keep = min(completion_tokens, tokens)
            given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            logits = model(**given, use_cache=False, logits_to_keep=keep).logits.flatten(0, 1).float()
            torch.nn.functional.cross_entropy(logits, torch.zeros(batch * keep, dtype=torch.long)).backward()  # type: ignore[no-untyped-call]
    return TracedStep(counted.peak, sum(each.numel() for each in model.parameters() if each.requires_grad))


def _fake_model(config: Any, rank: int, targets: str, dtype: torch.dtype, fake: FakeTensorMode) -> Any:
    """Return a model with an adapter whose tensors have no storage.

    It is made on torch's meta device, outside the mode, and each tensor is then replaced by one of the same shape.
    """
    import transformers
    from peft import LoraConfig, get_peft_model
    from torch.utils._python_dispatch import _disable_current_modes

    kind: Any = transformers.AutoModelForCausalLM
    with _disable_current_modes(), torch.device("meta"):
        model = kind.from_config(config, dtype=dtype)
        model = get_peft_model(model, LoraConfig(r=rank, target_modules=targets, task_type="CAUSAL_LM"))
    made: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                if id(weight) not in made:  # embedding and head may be one
                    empty = torch.empty(weight.shape, dtype=weight.dtype)
                    made[id(weight)] = torch.nn.Parameter(empty, requires_grad=weight.requires_grad)
                module._parameters[name] = made[id(weight)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
    return model
