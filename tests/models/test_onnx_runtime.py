from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ctiforge

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from ctiforge.core.errors import ModelError
from ctiforge.models.onnx_runtime import open_session

SCRIPT = """
import sys, time
from onnx import TensorProto, helper
from ctiforge.models.onnx_runtime import open_session
given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y"))
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [given], [made])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
open_session(model.SerializeToString(), threads=1, extra="accurate")
time.sleep(1)
"""


def test_a_session_leaves_no_trace_of_telemetry(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*") if "icrosoft" in str(path) or "onnxruntime" in str(path)] == []


def test_nothing_else_imports_onnxruntime() -> None:
    sources = Path(ctiforge.__file__).parent
    importing = re.compile(r"import onnxruntime|from onnxruntime|import_module\(.onnxruntime")
    found = [file.name for file in sources.rglob("*.py") if importing.search(file.read_text("utf-8"))]
    assert found == []


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot load"):
        open_session(b"not a model", threads=1, extra="accurate")
