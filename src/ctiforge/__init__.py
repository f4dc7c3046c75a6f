"""Compact, defensive cyber-threat-intelligence models that run where the data is.

>>> import ctiforge
>>> ctiforge.classify("SQL injection in login.php via the user parameter")[0].suggestions[0].cwe_id
'CWE-89'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctiforge.classify.api import classify as classify
    from ctiforge.classify.classifier import Classifier as Classifier
    from ctiforge.core.advisory import Advisory as Advisory

__version__ = "0.1.0"
__all__ = ["Advisory", "Classifier", "__version__", "classify"]


def __getattr__(name: str) -> Any:
    # Loaded at first use, so that `import ctiforge` costs nothing.
    if name in ("classify", "Classifier"):
        import ctiforge.classify as package

        return package if name == "classify" else package.Classifier
    if name == "Advisory":
        from ctiforge.core.advisory import Advisory

        return Advisory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
