"""What a reader must know of a benchmark before comparing figures on it."""

from __future__ import annotations

from typing import Final

__all__ = ["CAVEATS", "GENERAL_CAVEATS"]

CAVEATS: Final[dict[str, tuple[str, ...]]] = {
    "cti-rcm": (
        "72 of the 1,000 gold labels are entries whose use for mapping MITRE discourages, so a model that only suggests what "
        "MITRE allows cannot exceed 0.928.",
        "Answering CWE-79 every time scores 0.229. One label an item, as NVD assigned it: a score is partly a measure of NVD's "
        "habits.",
    ),
    "cti-rcm-2021": (
        "The training file published with one of the models listed (Gemma4Defense-2B) holds all 1,000 items with their labels.",
    ),
    "cti-mcq": (
        "Gold letters are uneven: answering C every time scores 0.371. Compare with that, not with 0.25.",
        "Replies that name two letters make the extraction rule decide; see the sensitivity table of a report.",
    ),
    "cti-vsp": (
        "Mean absolute deviation is over readable vectors, lower is better; CVSS scores that count an unreadable vector as a "
        "deviation of 10 are another measure.",
    ),
    "cti-ate": ("60 items: the interval of any figure is wide. Micro-F1 and macro-F1 are different measures.",),
    "cti-taa": ("50 items: the interval of any figure is wide.",),
}

GENERAL_CAVEATS: Final = (
    "The standard deviation over trials is sampling noise on the same items. The 95 % interval is over items and is what to "
    "compare models by; at n = 1,000 it is about ± 0.03.",
    "CTI-Bench's items have been public since 2024, AthenaBench's since 2025: a model trained since may have seen them.",
)
