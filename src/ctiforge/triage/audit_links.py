"""How a link of the audit trail and a row that it vouches for become hashes.

A link's hash is the SHA-256 of the JSON array ``[seq, at, actor, action, item_id, details, previous]`` without white space,
in UTF-8, with `details` as the text that is stored. A row's digest is the SHA-256 of its columns as a JSON object in
alphabetical order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctiforge.classify.outputs.record import json_text
from ctiforge.core.files import sha256

__all__ = ["link_hash", "row_digest"]


def link_hash(seq: int, at: str, actor: str, action: str, item_id: str, details: str, previous: str) -> str:
    """Return the hash of a link."""
    return sha256(json_text([seq, at, actor, action, item_id, details, previous]).encode())


def row_digest(row: Mapping[str, Any]) -> str:
    """Return the digest of a row."""
    return sha256(json_text({name: row[name] for name in sorted(row)}).encode())
