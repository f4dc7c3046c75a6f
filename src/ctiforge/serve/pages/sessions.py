"""Who is signed in: a random token in a cookie, everything else on this side.

Sessions live in the memory of the process, so that signing out ends one for good and a restart ends all. A token is kept as
its SHA-256 only. Each session has a token of its own against forged forms.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ctiforge.serve.keys import Principal

__all__ = ["Flash", "Session", "Sessions"]

_IDLE_SECONDS: Final = 12 * 3600
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Flash:
    """What the next page says first.

    Attributes:
        kind: ``done`` or ``problem``.
        undo: the item whose newest review can be taken back at once, with the version that it then had.
    """

    text: str
    kind: str = "done"
    undo: tuple[str, int] | None = None


@dataclass(slots=True)
class Session:
    """A person who is signed in.

    Attributes:
        key: the API key that was given; asked for again with every request, so that a withdrawn key ends the session.
        csrf: must come back in every form.
    """

    principal: Principal
    key: str | None = field(default=None, repr=False)
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    seen: float = 0.0
    flash: Flash | None = None

    def take_flash(self) -> Flash | None:
        """Return what is to be said, once."""
        flash, self.flash = self.flash, None
        return flash


class Sessions:
    """All sessions of a process.

    Args:
        clock: seconds that only grow.
        idle_seconds: a session without a request for so long has ended.
        most: beyond so many, the one that was idle longest ends.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, idle_seconds: float = _IDLE_SECONDS, most: int = _MOST
    ) -> None:
        self._clock, self._idle, self._most = clock, idle_seconds, most
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, principal: Principal, key: str | None = None) -> tuple[str, Session]:
        """Return a new session, and the token for its cookie."""
        token = secrets.token_urlsafe(32)
        session = Session(principal, key, seen=self._clock())
        with self._lock:
            self._forget_idle()
            if len(self._open) >= self._most:
                del self._open[min(self._open, key=lambda each: self._open[each].seen)]
            self._open[_digest(token)] = session
        return token, session

    def find(self, token: str | None) -> Session | None:
        """Return the session of a token, unless it has ended."""
        if not token:
            return None
        with self._lock:
            self._forget_idle()
            session = self._open.get(_digest(token))
            if session is not None:
                session.seen = self._clock()
            return session

    def end(self, token: str | None) -> None:
        """End the session of a token, if there is one."""
        with self._lock:
            self._open.pop(_digest(token or ""), None)

    def _forget_idle(self) -> None:
        limit = self._clock() - self._idle
        for each in [digest for digest, session in self._open.items() if session.seen < limit]:
            del self._open[each]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
