"""Small pieces of Markdown that the parts of a model card share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["PARTIES", "megabytes", "percent", "share_text", "shares_of", "table"]


PARTIES = {"cna": "the CNA", "adp": "CISA", "nvd": "NVD"}
"""Parties in words."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every row must have as many cells as the head (else ValueError)."""
    if any(len(row) != len(head) for row in rows):
        raise ValueError(f"a row does not fit the columns {head}")
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in line)} |" for line in lines)


def share_text(share: Mapping[str, float]) -> str:
    """Return a share with its 95 % interval, if it has one."""
    interval = f" ({share['ci95_low']:.3f}-{share['ci95_high']:.3f})" if "ci95_low" in share else ""
    return f"{share['value']:.3f}{interval}"


def shares_of(paired: Mapping[str, float]) -> str:
    """Return a difference of accuracies in points, with its 95 % interval."""
    return f"{100 * paired['difference']:+.1f} ({100 * paired['ci95_low']:+.1f} to {100 * paired['ci95_high']:+.1f})"


def percent(share: float, digits: int = 0) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.{digits}f} %"


def megabytes(size: int) -> str:
    """Return a number of bytes in MB (a million bytes)."""
    return f"{size / 1e6:.1f} MB" if size >= 50_000 else f"{size / 1e3:.0f} kB"
