"""``--option NAME=VALUE``: settings of a model's backend."""

from __future__ import annotations

from typing import Any

import orjson

from ctiforge.core.errors import SettingError

__all__ = ["read_options"]


def read_options(pairs: list[str]) -> dict[str, Any]:
    """Read ``name=value``; a value that is JSON (true, 8192, 0.5) is that, any other a text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip().isidentifier():
            raise SettingError(f"--option {pair!r} is not NAME=VALUE", fix="for example --option context_size=8192")
        try:
            options[name.strip()] = orjson.loads(value)
        except orjson.JSONDecodeError:
            options[name.strip()] = value
    return options
