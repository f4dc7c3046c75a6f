"""Serving: an HTTP API with web pages over the classifier, the knowledge base and the queue; the same over MCP.

`create_app` gives the application for any ASGI server; `ctiforge serve` runs it with the checks of `ServeSettings.check`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctiforge.serve.app import create_app
    from ctiforge.serve.keys import KeyRing, Principal, Role
    from ctiforge.serve.settings import Limits, ServeSettings
    from ctiforge.serve.state import NotConfiguredError, ServerState

__all__ = ["KeyRing", "Limits", "NotConfiguredError", "Principal", "Role", "ServeSettings", "ServerState", "create_app"]

_MODULES = {
    **dict.fromkeys(("KeyRing", "Principal", "Role"), "keys"),
    **dict.fromkeys(("Limits", "ServeSettings"), "settings"),
    **dict.fromkeys(("NotConfiguredError", "ServerState"), "state"),
    "create_app": "app",
}


def __getattr__(name: str) -> Any:
    # Loaded at first use: the process that classifies, and `ctiforge keys`, need no web framework.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
