"""API keys: who may do what. A key is 256 random bits; the file has only its SHA-256, which nobody can turn back.

A slow hash (scrypt) is for passwords, which can be guessed; 256 random bits cannot, and a key is checked on every request.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, get_args

import orjson

from ctiforge.core.errors import InputError, SettingError, did_you_mean
from ctiforge.core.files import sha256, write_json

__all__ = ["ROLES", "KeyRecord", "KeyRing", "Principal", "Role", "check_role"]

Role = Literal["reader", "reviewer", "admin"]
"""``reader`` sees, ``reviewer`` also decides, ``admin`` also takes back what others accepted in bulk."""
ROLES: Final[tuple[Role, ...]] = get_args(Role)

_FORMAT: Final = 1
_PREFIX: Final = "ctiforge"
_NAME = re.compile(r"\S(?:.{0,98}\S)?")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request; `name` is what the audit trail keeps."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Say whether this role or a higher one is theirs."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One line of the file: `id` is the part of the key that may be shown, `created` an ISO 8601 time in UTC."""

    id: str
    name: str
    role: Role
    sha256: str
    created: str


class KeyRing:
    """The keys of a file. A changed file is read again, so that a revoked key ends at once.

    Args:
        path: made by the first `add`, readable by its owner only.

    Raises:
        InputError: the file is no file of keys.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._records: tuple[KeyRecord, ...] = ()
        self._by_digest: dict[str, KeyRecord] = {}
        self._read()

    @property
    def records(self) -> tuple[KeyRecord, ...]:
        """All keys, oldest first."""
        self._refresh()
        return self._records

    def authenticate(self, key: str) -> Principal | None:
        """Return whose key this is, or None."""
        self._refresh()
        digest = sha256(key.encode("utf-8", "surrogatepass"))
        found = self._by_digest.get(digest)
        if found is None or not hmac.compare_digest(found.sha256, digest):
            return None
        return Principal(found.name, found.role)

    def add(self, name: str, role: str) -> str:
        """Make a key and return it; it is shown this once and kept nowhere.

        Raises:
            SettingError: the name is empty, too long or taken, or there is no such role.
        """
        if not _NAME.fullmatch(name) or not name.isprintable():
            raise SettingError(f"{name[:40]!r} cannot be a name", fix="1 to 100 printable characters: the person's name")
        if any(each.name.casefold() == name.casefold() for each in self.records):
            raise SettingError(
                f"{name} has a key already",
                fix=f"ctiforge keys revoke {name!r} first; or another name, such as '{name} (script)'",
            )
        checked = check_role(role)
        taken = {each.id for each in self._records}
        key_id = next(each for each in iter(lambda: secrets.token_hex(4), "") if each not in taken)
        key = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._write((*self._records, KeyRecord(key_id, name, checked, sha256(key.encode()), created)))
        return key

    def revoke(self, name_or_id: str) -> KeyRecord:
        """Take a key away, by its owner's name or by its id.

        Raises:
            SettingError: there is no such key.
        """
        for each in self.records:
            if name_or_id in (each.id, each.name):
                self._write(tuple(other for other in self._records if other is not each))
                return each
        hint = did_you_mean(name_or_id, [each.name for each in self._records]) or "ctiforge keys list shows names and ids"
        raise SettingError(f"{self.path}: there is no key of {name_or_id!r}", fix=hint)

    def _refresh(self) -> None:
        if self._stamp() != self._seen:
            self._read()

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> None:
        stamp = self._stamp()
        records: tuple[KeyRecord, ...] = ()
        if stamp is not None:
            try:
                document = orjson.loads(self.path.read_bytes())
                if document["format"] != _FORMAT:
                    raise ValueError(f"format {document['format']!r} is not known to this version")
                records = tuple(KeyRecord(**each) for each in document["keys"])
                for each in records:
                    check_role(each.role)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{self.path}: cannot be read as a file of API keys: {error}", fix="ctiforge keys add makes a new one"
                ) from None
        self._seen, self._records = stamp, records
        self._by_digest = {each.sha256: each for each in records}

    def _write(self, records: tuple[KeyRecord, ...]) -> None:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        fields = ("id", "name", "role", "sha256", "created")
        write_json(self.path, {"format": _FORMAT, "keys": [{name: getattr(each, name) for name in fields} for each in records]})
        self._read()


def check_role(role: str) -> Role:
    """Return `role` if there is such a one.

    Raises:
        SettingError: there is not.
    """
    for each in ROLES:
        if each == role:
            return each
    raise SettingError(f"no role named {role!r}", fix=did_you_mean(role, ROLES) or f"one of {', '.join(ROLES)}")
