"""What was decided, in the formats of other tools: one module a format, one registry. docs/triage.md says what each carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ctiforge.classify.outputs import OutputFormat, find_output
from ctiforge.core.errors import SettingError, did_you_mean
from ctiforge.triage.exports.cyclonedx import CycloneDxRenderer
from ctiforge.triage.exports.defectdojo import DefectDojoRenderer
from ctiforge.triage.exports.misp import MispRenderer
from ctiforge.triage.exports.rows import DecisionsCsvRenderer, EvaluationRenderer, TrainingRenderer
from ctiforge.triage.exports.sarif import SarifRenderer
from ctiforge.triage.exports.stix import StixRenderer

__all__ = ["EXPORTS", "find_export"]

_FORMATS = (
    OutputFormat("csv", "one row a decision, for spreadsheets", ".csv", True, DecisionsCsvRenderer),
    find_output("cve-adp"),
    find_output("nvd"),
    find_output("csaf"),
    OutputFormat("stix", "a STIX 2.1 bundle of vulnerability objects", ".json", False, StixRenderer),
    OutputFormat("misp", "a MISP event with vulnerability and weakness objects", ".json", False, MispRenderer),
    OutputFormat("sarif", "a SARIF 2.1.0 log with CWE as its taxonomy", ".sarif", False, SarifRenderer),
    OutputFormat("cyclonedx", "a CycloneDX 1.6 VEX document", ".cdx.json", False, CycloneDxRenderer),
    OutputFormat("defectdojo", "DefectDojo's generic findings", ".json", False, DefectDojoRenderer),
    OutputFormat("evaluation", "cases for ctiforge bench, looked at one by one", ".jsonl", True, EvaluationRenderer),
    OutputFormat("training", "a feed for ctiforge corpus and train, looked at one by one", ".jsonl", True, TrainingRenderer),
)

EXPORTS: Mapping[str, OutputFormat] = MappingProxyType({each.name: each for each in _FORMATS})
"""Every export format by the name the user types, in the order to list them."""


def find_export(name: str) -> OutputFormat:
    """Return the format called `name`.

    Raises:
        SettingError: there is none.
    """
    if name not in EXPORTS:
        hint = did_you_mean(name, EXPORTS)
        raise SettingError(
            f"no export format named {name!r}" + (f", {hint}" if hint else ""), fix=f"use one of {', '.join(EXPORTS)}"
        )
    return EXPORTS[name]
