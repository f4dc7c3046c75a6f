"""Output formats of `ctiforge classify`: pure functions from predictions to text.

`OUTPUTS` is the only list of them. Adding one takes a module with a `Renderer` and an entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ctiforge.classify.outputs.csaf import CsafRenderer
from ctiforge.classify.outputs.csv_rows import CsvRenderer
from ctiforge.classify.outputs.cve_adp import CveAdpRenderer
from ctiforge.classify.outputs.json_array import JsonArrayRenderer
from ctiforge.classify.outputs.jsonl import JsonlRenderer
from ctiforge.classify.outputs.markdown import MarkdownRenderer
from ctiforge.classify.outputs.nvd import NvdRenderer
from ctiforge.classify.outputs.options import OutputOptions, OutputOptionsError
from ctiforge.classify.outputs.record import load_prediction_schema
from ctiforge.classify.outputs.renderer import OutputFormat, Renderer
from ctiforge.classify.outputs.sentences import ABSTAIN_SENTENCES
from ctiforge.core.errors import did_you_mean

__all__ = [
    "ABSTAIN_SENTENCES",
    "OUTPUTS",
    "OutputFormat",
    "OutputOptions",
    "OutputOptionsError",
    "Renderer",
    "find_output",
    "load_prediction_schema",
]


def _terminal(options: OutputOptions) -> Renderer:
    # rich takes longer to import than everything else here; only this format needs it.
    from ctiforge.classify.outputs.terminal import TerminalRenderer

    return TerminalRenderer(options)


_FORMATS = (
    OutputFormat("table", "aligned blocks for a terminal", ".txt", True, _terminal),
    OutputFormat("jsonl", "one object a line: the contract for other programs", ".jsonl", True, JsonlRenderer),
    OutputFormat("json", "the same objects as one array", ".json", False, JsonArrayRenderer),
    OutputFormat("csv", "one row a record, for spreadsheets", ".csv", True, CsvRenderer),
    OutputFormat("markdown", "a table for tickets and merge requests", ".md", True, MarkdownRenderer),
    OutputFormat("cve-adp", "CVE Record 5.1 ADP containers, one a line", ".jsonl", True, CveAdpRenderer),
    OutputFormat("nvd", "NVD API 2.0 weaknesses", ".json", False, NvdRenderer),
    OutputFormat("csaf", "a CSAF 2.1 draft document with cwes[]", ".json", False, CsafRenderer),
)

OUTPUTS: Mapping[str, OutputFormat] = MappingProxyType({each.name: each for each in _FORMATS})
"""Every output format by the name the user types, in the order to list them."""


def find_output(name: str) -> OutputFormat:
    """Return the format called `name`.

    Raises:
        OutputOptionsError: there is none.
    """
    try:
        return OUTPUTS[name]
    except KeyError:
        hint = did_you_mean(name, OUTPUTS)
        raise OutputOptionsError(
            f"unknown output format {name!r}" + (f", {hint}" if hint else ""), fix=f"use one of {', '.join(OUTPUTS)}"
        ) from None
