"""Serving: an HTTP API with web pages over the classifier, the knowledge base and the queue; the same over MCP.

`create_app` gives the application for any ASGI server; `ctiforge serve` runs it with the checks of `ServeSettings.check`.
"""

from __future__ import annotations

from ctiforge.serve.app import create_app
from ctiforge.serve.keys import KeyRing, Principal, Role
from ctiforge.serve.settings import Limits, ServeSettings
from ctiforge.serve.state import NotConfiguredError, ServerState

__all__ = ["KeyRing", "Limits", "NotConfiguredError", "Principal", "Role", "ServeSettings", "ServerState", "create_app"]
