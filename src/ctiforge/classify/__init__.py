"""The embedded CWE classifier: predict, calibrate, explain, and apply MITRE's mapping policy.

The package can be called: ``ctiforge.classify(texts)`` is `ctiforge.classify.api.classify`, because the folder and the
function that people look for have the same name (docs/decisions/0003-callable-package.md).
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ctiforge.classify.api import classify
from ctiforge.classify.classifier import Classifier
from ctiforge.classify.prediction import EvidenceSpan, Prediction, Suggestion

__all__ = ["Classifier", "EvidenceSpan", "Prediction", "Suggestion", "classify"]


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> list[Prediction]:
        return classify(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
