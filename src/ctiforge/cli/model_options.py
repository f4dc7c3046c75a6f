"""``--model SPEC``, ``--option NAME=VALUE``: a model of `ctiforge.models.registry`, and settings of its backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ctiforge.core.errors import SettingError

if TYPE_CHECKING:
    from ctiforge.models.generation import TextModel

__all__ = ["open_spec", "read_options"]


def open_spec(
    spec: str,
    timeout: float,
    attempts: int,
    options: Mapping[str, Any],
    more: Mapping[str, Callable[[str], TextModel]] | None = None,
) -> TextModel:
    """Return the model that `spec` names; `timeout` (seconds) and `attempts` are for endpoints only.

    Args:
        more: openers of other schemes, see `ctiforge.models.registry.open_model`.
    """
    from ctiforge.models.registry import open_model
    from ctiforge.models.retry import RetryPolicy

    endpoint = spec.partition(":")[0] in ("http", "https", "openai")
    waiting = {"timeout_s": timeout, "retry": RetryPolicy(max_attempts=attempts)} if endpoint else {}
    return open_model(spec, more=more, **waiting | dict(options))


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
