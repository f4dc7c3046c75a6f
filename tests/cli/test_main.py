from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctiforge.classify.classifier import bundled_model_path

pytestmark = pytest.mark.skipif(
    not (bundled_model_path("fast") / "manifest.json").exists(), reason="the bundled model is not in this checkout"
)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_pipe_gets_utf_8_whatever_the_locale(encoding: str, tmp_path: Path) -> None:
    text = "SQL injection in the löginform of Exämple CMS — 日本 lets attackers read the database."
    feed = tmp_path / "feed.jsonl"
    feed.write_text(json.dumps({"id": "Meldung-Ä1", "description": text}), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "ctiforge", "classify", str(feed), "--output", "csv", "--quiet"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Meldung-Ä1" in ended.stdout.decode("utf-8")
