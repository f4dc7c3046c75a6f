"""The one door to onnxruntime: without its telemetry.

Official builds (1.32 for one) send events to their maker over HTTPS and keep an identifier of the machine, unless
``ORT_DISABLE_TELEMETRY`` is set before the library loads (its Privacy.md, 'Disabling Telemetry'). ctiforge opens no socket
that its user did not ask for, so this module alone may load the library; a test sees to it.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from ctiforge.core.errors import MissingExtraError, ModelError

__all__ = ["import_onnxruntime", "open_session"]


def import_onnxruntime(name: str = "onnxruntime", *, extra: str) -> Any:
    """Import onnxruntime, or a module of it, with telemetry off.

    Args:
        extra: the extra that installs it, for the error.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError("onnxruntime", extra) from None


def open_session(model: bytes | str, *, threads: int, extra: str) -> Any:
    """Return an inference session on the CPU for the bytes or the path of an ONNX model.

    Args:
        threads: for one text batch; 0 lets onnxruntime choose.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ModelError: it cannot load the model.
    """
    onnxruntime = import_onnxruntime(extra=extra)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes derive from Exception alone
        what = "the encoder" if isinstance(model, bytes) else model
        raise ModelError(f"{what}: onnxruntime cannot load it ({error})", fix="export the model again") from None
