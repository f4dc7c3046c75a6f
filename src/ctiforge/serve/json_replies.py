"""Frozen values of the library as JSON responses."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import orjson
from starlette.responses import Response

__all__ = ["json_reply", "plain_json"]


def json_reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return dataclasses, mappings and tuples of them as a JSON response."""
    return Response(plain_json(value), status, headers, "application/json")


def plain_json(value: Any, options: int = 0) -> bytes:
    """Return dataclasses, mappings and tuples of them as JSON."""
    return orjson.dumps(value, default=_plain, option=options | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
