"""What a queue page shows, as its address says it, and addresses for what it could show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args
from urllib.parse import urlencode

from ctiforge.triage.listing import Order, QueueFilter
from ctiforge.triage.values import DECIDED, STATES, WAITING, State

__all__ = ["STATE_CHOICES", "QueueQuery", "read_queue_query"]

STATE_CHOICES: Final[Mapping[str, tuple[State, ...]]] = {
    "waiting": WAITING,
    "decided": DECIDED,
    "all": STATES,
    **{state: (state,) for state in STATES},
}
"""What can be chosen as state: groups, then each alone."""
_FLAGS: Final = ("discouraged", "abstained", "kev", "overdue")
_LONGEST: Final = 300
_MOST_PAGES: Final = 100_000


@dataclass(frozen=True, slots=True)
class QueueQuery:
    """A queue page's address, taken apart; `page` counts from 1."""

    state: str = "waiting"
    conflict: str = ""
    discouraged: bool = False
    abstained: bool = False
    kev: bool = False
    overdue: bool = False
    ssvc: str = ""
    cwe: str = ""
    q: str = ""
    order: str = "priority"
    page: int = 1

    @property
    def wanted(self) -> QueueFilter:
        """The filter.

        Raises:
            SettingError: a value is none that it can have.
        """
        flags: dict[str, Any] = {name: getattr(self, name) for name in _FLAGS}
        conflict: Any = self.conflict or None
        states = STATE_CHOICES.get(self.state, (self.state,))
        return QueueFilter(
            states=states,  # type: ignore[arg-type]
            conflict=conflict,
            ssvc=self.ssvc or None,
            cwe_id=self.cwe or None,
            text=self.q,
            **flags,
        )

    @property
    def filtered(self) -> bool:
        """Whether anything but order and page is not as it is at first."""
        return replace(self, order="priority", page=1) != QueueQuery()

    def text(self, **changes: Any) -> str:
        """Return the query string with changes; what is as it is at first is left out, and a change goes back to page 1."""
        changed = replace(self, **{"page": 1, **changes})
        plain = QueueQuery()
        given = {name: getattr(changed, name) for name in self.__slots__ if getattr(changed, name) != getattr(plain, name)}
        return urlencode({name: "1" if value is True else value for name, value in given.items()})


def read_queue_query(values: Mapping[str, str]) -> QueueQuery:
    """Return what a query string asks for; unknown names are left alone, and what is too long is cut."""
    texts = {name: values[name].strip()[:_LONGEST] for name in ("conflict", "ssvc", "cwe", "q") if name in values}
    for name in ("state", "order"):
        if values.get(name):
            texts[name] = values[name][:_LONGEST]
    if texts.get("order") not in (None, *get_args(Order)):
        del texts["order"]
    flags = {name: values.get(name, "") not in ("", "0") for name in _FLAGS}
    number = values.get("page", "1")
    page = min(max(1, int(number)), _MOST_PAGES) if number.isascii() and number.isdigit() and len(number) < 9 else 1
    return QueueQuery(page=page, **texts, **flags)  # type: ignore[arg-type]
