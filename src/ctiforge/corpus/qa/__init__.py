"""Questions and answers made by rule from CTI objects: grounded, cited, and the same every time."""

from ctiforge.corpus.qa.generate import build_generators, generate_qa
from ctiforge.corpus.qa.objects import QaObjects
from ctiforge.corpus.qa.report import QaReport, build_qa_report, render_qa_report
from ctiforge.corpus.qa.settings import DEFAULT_COUNTS, FormCounts, QaSettings, build_settings

__all__ = [
    "DEFAULT_COUNTS",
    "FormCounts",
    "QaObjects",
    "QaReport",
    "QaSettings",
    "build_generators",
    "build_qa_report",
    "build_settings",
    "generate_qa",
    "render_qa_report",
]
