"""Web pages: rendered on the server, on the same state as the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ctiforge.serve.state import ServerState

__all__ = ["add_pages"]


def add_pages(app: FastAPI, state: ServerState) -> None:
    """Add the pages to the application."""
