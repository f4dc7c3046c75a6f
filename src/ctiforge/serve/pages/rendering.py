"""Templates and static files: everything a page is made of comes out of this package, nothing from a network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from ctiforge.classify.outputs.assigned import PARTY_NAMES
from ctiforge.classify.outputs.sentences import ABSTAIN_SENTENCES, probability_text
from ctiforge.core.files import sha256

__all__ = ["STATIC_TYPES", "item_address", "make_environment", "static_address", "static_bytes"]

STATIC_TYPES: Final[Mapping[str, str]] = {
    "pages.css": "text/css; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "keyboard.js": "text/javascript; charset=utf-8",
    "views.js": "text/javascript; charset=utf-8",
    "item.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""Every static file with its media type; no other path is looked for."""
_USAGE_CLASSES: Final = {"Allowed": "good", "Allowed-with-Review": "fair", "Discouraged": "poor", "Prohibited": "bad"}
_STATE_WORDS: Final = {"awaiting_second": "awaits a second reviewer"}


@cache
def static_bytes(name: str) -> bytes:
    """Return the content of one of `STATIC_TYPES`."""
    return (files("ctiforge.serve.pages") / "static" / name).read_bytes()


@cache
def static_address(name: str) -> str:
    """Return the address of a static file; it changes with the content, so browsers may keep what they have."""
    return f"/static/{name}?{sha256(static_bytes(name))[:12]}"


def item_address(item_id: str, query: str = "") -> str:
    """Return the address of an item's page; identifiers may hold any character."""
    return f"/items/{quote(item_id, safe='')}" + (f"?{query}" if query else "")


def make_environment() -> Environment:
    """Return the templates' environment: whatever is put into a page is text, and an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader("ctiforge.serve.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"static": static_address, "item_address": item_address, "abstain_sentences": ABSTAIN_SENTENCES}
    filters: dict[str, Any] = {
        "probability": probability_text,
        "percent": lambda value: f"{100 * value:.0f} %",
        "count": lambda value: f"{value:,}",
        "party": lambda value: PARTY_NAMES[value],
        "usage_class": lambda value: _USAGE_CLASSES[value],
        "state": lambda value: _STATE_WORDS.get(value, value),
        "day": lambda value: value[:10],
        "moment": lambda value: value[:16].replace("T", " "),
    }
    environment.filters |= filters
    return environment
