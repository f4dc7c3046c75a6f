"""A package that is missing, as the set of packages to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ctiforge.core.errors import MissingExtraError

__all__ = ["needing"]


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Name the extra where an import of the block fails.

    Raises:
        MissingExtraError: a package of others is not installed.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or str(error)).split(".")[0]
        if package == "ctiforge":
            raise  # a bug of ours
        raise MissingExtraError(package, extra) from None
