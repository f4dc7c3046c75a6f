"""What can go wrong in triage besides bad input."""

from __future__ import annotations

from ctiforge.core.errors import CtiforgeError, ExitCode

__all__ = ["BulkChangedError", "ConflictError", "StoreError", "UnknownItemError"]


class StoreError(CtiforgeError):
    """The database cannot be opened, is of another version, or does not answer."""


class UnknownItemError(CtiforgeError):
    """There is no such item, review or bulk acceptance."""


class BulkChangedError(CtiforgeError):
    """A bulk act would concern other items than those that the caller has seen. Nothing was written."""

    exit_code = ExitCode.CONFLICT


class ConflictError(CtiforgeError):
    """Somebody else was faster, or the item is not in a state for this act. Nothing was written.

    Attributes:
        item_id: which item.
        version: the version that it has now.
    """

    exit_code = ExitCode.CONFLICT

    def __init__(self, message: str, *, item_id: str, version: int, fix: str) -> None:
        super().__init__(message, fix=fix, about="item")
        self.item_id = item_id
        self.version = version
