"""How many questions of each kind are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from ctiforge.core.errors import SettingError, did_you_mean

__all__ = ["DEFAULT_COUNTS", "FormCounts", "QaSettings", "build_settings"]


@dataclass(frozen=True, slots=True)
class FormCounts:
    """How many records of one generator: multiple choice, and with a short free answer. A generator may have fewer."""

    choice: int = 0
    short: int = 0

    @property
    def total(self) -> int:
        """Both forms together."""
        return self.choice + self.short


DEFAULT_COUNTS: Final[Mapping[str, FormCounts]] = MappingProxyType(
    {
        name: FormCounts(choice, short)
        for name, choice, short in (
            ("technique-definition", 240, 40),
            ("technique-description", 200, 60),
            ("technique-tactic", 200, 40),
            ("tactic-technique", 100, 0),
            ("tactic-definition", 24, 12),
            ("technique-platform", 120, 20),
            ("technique-platform-except", 60, 0),
            ("subtechnique-parent", 80, 16),
            ("technique-subtechnique", 80, 0),
            ("technique-id", 80, 24),
            ("technique-asset", 40, 0),
            ("technique-mitigation", 240, 40),
            ("mitigation-technique", 120, 0),
            ("mitigation-use", 120, 60),
            ("technique-data-component", 160, 30),
            ("technique-analytic", 140, 80),
            ("group-technique", 140, 40),
            ("software-technique", 160, 40),
            ("campaign-technique", 50, 12),
            ("procedure-technique", 300, 60),
            ("group-definition", 60, 24),
            ("software-definition", 80, 24),
            ("group-software", 90, 0),
            ("software-group", 80, 12),
            ("campaign-group", 20, 4),
            ("group-alias", 70, 16),
            ("software-platform", 30, 8),
            ("pattern-definition", 120, 24),
            ("pattern-description", 100, 30),
            ("pattern-parent", 50, 12),
            ("pattern-child", 40, 0),
            ("pattern-next", 40, 8),
            ("pattern-severity", 40, 4),
            ("pattern-consequence", 60, 16),
            ("pattern-mitigation", 80, 30),
            ("pattern-prerequisite", 60, 16),
            ("pattern-weakness", 70, 12),
            ("weakness-pattern", 70, 0),
            ("pattern-technique", 60, 12),
            ("weakness-definition", 140, 30),
            ("weakness-description", 110, 30),
            ("weakness-parent", 60, 16),
            ("weakness-child", 50, 0),
            ("weakness-next", 40, 8),
            ("weakness-example", 160, 30),
            ("weakness-term", 50, 8),
            ("weakness-impact", 70, 20),
            ("weakness-scope", 40, 8),
            ("weakness-phase", 30, 6),
            ("weakness-language", 24, 4),
            ("weakness-usage", 50, 10),
            ("weakness-abstraction", 24, 4),
            ("weakness-mitigation", 80, 40),
            ("weakness-detection", 30, 16),
            ("cve-weakness", 160, 30),
            ("cve-impact", 80, 16),
            ("cve-attack-pattern", 60, 0),
            ("cve-attack-vector", 40, 8),
        )
    }
)
"""A corpus of about the size of the model card's Q&A part; `build_settings` scales it."""


@dataclass(frozen=True, slots=True)
class QaSettings:
    """What `generate_qa` makes.

    Attributes:
        counts: records of each generator; those that are not named make none.
        exclude: source objects that nothing is asked about, e.g. those of a benchmark's items.
        cite: end free answers with the object they come from.
        longest_option, longest_question: in characters; longer ones are not asked.
    """

    counts: Mapping[str, FormCounts] = field(default_factory=lambda: DEFAULT_COUNTS)
    exclude: frozenset[str] = frozenset()
    cite: bool = True
    longest_option: int = 300
    longest_question: int = 900


def build_settings(
    *,
    generators: Iterable[str] = (),
    limit: int | None = None,
    counts: Mapping[str, Any] | None = None,
    exclude: Iterable[str] = (),
    cite: bool = True,
) -> QaSettings:
    """Return settings from what a recipe may say.

    Args:
        generators: the ones to use; all where none is named.
        limit: records in all; the default counts are scaled to it, in their proportions.
        counts: for single generators, ``{"choice": 100, "short": 20}``, not scaled.

    Raises:
        SettingError: unknown generators or counts that are no whole numbers; all faults in one message.
    """
    names, own = list(generators), dict(counts or {})
    faults = [
        f"{name!r} is not a question generator; {did_you_mean(name, DEFAULT_COUNTS)}".rstrip("; ")
        for name in (*names, *own)
        if name not in DEFAULT_COUNTS
    ]
    given: dict[str, FormCounts] = {}
    for name, value in own.items():
        forms = dict(value) if isinstance(value, Mapping) else {"": value}
        if set(forms) <= {"choice", "short"} and all(type(n) is int and n >= 0 for n in forms.values()):
            given[name] = FormCounts(**forms)
        else:
            faults.append(f"counts of {name!r} must be like {{choice: 100, short: 20}}, not {value!r}")
    if limit is not None and limit < 0:
        faults.append(f"limit is {limit}, which is less than none")
    if faults:
        raise SettingError("; ".join(faults), fix=f"generators are {', '.join(DEFAULT_COUNTS)}")
    chosen = {name: DEFAULT_COUNTS[name] for name in DEFAULT_COUNTS if (not names or name in names) and name not in given}
    if limit is not None:
        chosen = _scaled(chosen, max(0, limit - sum(each.total for each in given.values())))
    ordered = {name: {**chosen, **given}[name] for name in DEFAULT_COUNTS if name in chosen or name in given}
    return QaSettings(counts=MappingProxyType(ordered), exclude=frozenset(exclude), cite=cite)


def _scaled(counts: Mapping[str, FormCounts], total: int) -> dict[str, FormCounts]:
    """Share out `total` in the proportions of `counts`, by largest remainder, so that the sum is exact."""
    whole = sum(each.total for each in counts.values())
    if not whole:
        return dict(counts)
    shares = [
        (name, form, getattr(each, form) * total / whole) for name, each in counts.items() for form in ("choice", "short")
    ]
    floors = {(name, form): int(share) for name, form, share in shares}
    rest = total - sum(floors.values())
    for name, form, _ in sorted(shares, key=lambda entry: (int(entry[2]) - entry[2], entry[0], entry[1]))[:rest]:
        floors[name, form] += 1
    return {name: replace(each, choice=floors[name, "choice"], short=floors[name, "short"]) for name, each in counts.items()}
