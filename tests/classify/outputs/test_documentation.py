"""docs/outputs.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from ctiforge.classify.outputs import ABSTAIN_SENTENCES, OUTPUTS, load_prediction_schema
from ctiforge.classify.outputs.cve_adp import PLACEHOLDER_ORG_ID
from ctiforge.core.errors import ExitCode


def test_every_format_field_and_reason_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "outputs.md").read_text()
    for output in OUTPUTS.values():
        assert f"| `{output.name}` |" in text
        assert f"`{output.suffix}`" in text
    schema = load_prediction_schema()
    for name in (*schema["properties"], *schema["$defs"]["suggestion"]["properties"]):
        assert f"`{name}`" in text, name
    for reason, sentence in ABSTAIN_SENTENCES.items():
        assert f"| `{reason}` | {sentence} |" in text
    assert PLACEHOLDER_ORG_ID in text


def test_every_exit_code_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text()
    for code in ExitCode:
        assert f"| {code.value} | `{code.name}` |" in text
