"""Predictions made by hand; every advisory is invented."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ctiforge.classify.outputs import OutputOptions
from ctiforge.classify.prediction import AbstainReason, EvidenceSpan, Prediction, Suggestion
from ctiforge.core.advisory import Advisory, AssignedWeakness, SourceRef
from ctiforge.core.weakness import MappingUsage

XSS = "Improper Neutralization of Input During Web Page Generation ('Cross-site Scripting')"
GENERATED_AT = datetime(2099, 3, 1, 9, 30, tzinfo=UTC)


def suggestion(
    cwe_id: str,
    name: str,
    probability: float,
    text: str = "",
    words: tuple[tuple[str, float], ...] = (),
    usage: MappingUsage = "Allowed",
    prefer: tuple[str, ...] = (),
) -> Suggestion:
    spans = []
    for word, weight in words:
        start = text.index(word)
        spans.append(EvidenceSpan(start, start + len(word), word, weight))
    return Suggestion(cwe_id, name, probability, usage, tuple(spans), prefer)


def prediction(
    record_id: str,
    text: str,
    suggestions: tuple[Suggestion, ...] = (),
    *,
    reason: AbstainReason | None = None,
    discouraged: tuple[Suggestion, ...] = (),
    weaknesses: tuple[AssignedWeakness, ...] = (),
    title: str = "",
    line: int = 1,
) -> Prediction:
    source = SourceRef("feed.jsonl", line, "cve5")
    return Prediction(
        id=record_id,
        text=text,
        abstained=reason is not None,
        reason=reason,
        suggestions=suggestions,
        discouraged=discouraged,
        model="linear-test-1",
        model_digest="ab" * 32,
        cwe_version="4.14",
        policy="mitre",
        advisory=Advisory(record_id, source, text, title, weaknesses=weaknesses),
    )


@pytest.fixture
def options() -> OutputOptions:
    return OutputOptions(generated_at=GENERATED_AT, version="0.1.0")


@pytest.fixture
def golden() -> Path:
    return Path(__file__).parent / "golden"


@pytest.fixture
def xss() -> Prediction:
    text = (
        "The Quillboard forum server before 4.2.1 does not clean the display name of a member. An authenticated user can "
        "store script code there, which leads to stored cross-site scripting when a moderator opens the profile page."
    )
    words = (("cross-site scripting", 0.62), ("script code", 0.21), ("display name", 0.05))
    return prediction(
        "CVE-2099-10001",
        text,
        (
            suggestion("CWE-79", XSS, 0.97461, text, words),
            suggestion("CWE-116", "Improper Encoding or Escaping of Output", 0.0123, usage="Allowed-with-Review"),
        ),
        weaknesses=(
            AssignedWeakness("cna", "CWE-79", "CWE-79 Cross-site Scripting"),
            AssignedWeakness("adp", "CWE-80", "CWE-80 Basic XSS"),
        ),
        title="Quillboard: stored script in display names",
    )


@pytest.fixture
def overflow() -> Prediction:
    text = "A heap buffer overflow in the TIFF reader of Pixelmill 2.0 lets an attacker write past the end of a row buffer."
    return prediction(
        "CVE-2099-10002",
        text,
        (
            suggestion("CWE-787", "Out-of-bounds Write", 0.6112, text, (("heap buffer overflow", 0.5), ("write past", 0.2))),
            suggestion("CWE-122", "Heap-based Buffer Overflow", 0.2, text, (("heap buffer overflow", 0.8),)),
            suggestion("CWE-125", "Out-of-bounds Read", 0.004),
        ),
        discouraged=(
            suggestion(
                "CWE-119",
                "Improper Restriction of Operations within the Bounds of a Memory Buffer",
                0.1402,
                usage="Discouraged",
                prefer=("CWE-787", "CWE-125"),
            ),
        ),
        weaknesses=(AssignedWeakness("cna", None, "Memory corruption"),),
        line=2,
    )


@pytest.fixture
def abstention() -> Prediction:
    return prediction(
        "CVE-2099-10003",
        "Unspecified vulnerability in Ferrule Suite.",
        (suggestion("CWE-20", "Improper Input Validation", 0.0812, usage="Allowed-with-Review"),),
        reason="low_information",
        weaknesses=(AssignedWeakness("nvd", "CWE-200", "CWE-200"),),
        line=3,
    )


@pytest.fixture
def vendor_id() -> Prediction:
    text = "The update agent of Lantern NAS follows a symbolic link in its spool folder."
    return prediction(
        "LNS-SA-2099-004",
        text,
        (
            suggestion(
                "CWE-59",
                "Improper Link Resolution Before File Access ('Link Following')",
                0.8801,
                text,
                (("symbolic link", 0.9),),
            ),
        ),
        line=4,
    )


@pytest.fixture
def nothing_to_read() -> Prediction:
    return prediction("CVE-2099-10004", "", reason="no_description", line=5)


@pytest.fixture
def hostile() -> Prediction:
    """An advisory that attacks whoever prints it: escape codes, bidi, a formula, Markdown, HTML, a lone surrogate."""
    text = "\x1b[2J\x1b]0;owned\x07 <img src=x onerror=alert(1)> | [click](https://evil.example) \u202efdp.exe \ud800 @everyone"
    return prediction(
        '=HYPERLINK("https://evil.example")\n\x9b31m|row',
        text,
        (suggestion("CWE-1236", "Improper Neutralization of Formula Elements in a CSV File", 0.7, text, ((text, 1.0),)),),
        weaknesses=(AssignedWeakness("user", None, "@cmd|' /C calc'!A0\r\n| x |"),),
        line=6,
    )


@pytest.fixture
def batch(
    xss: Prediction, overflow: Prediction, abstention: Prediction, vendor_id: Prediction, nothing_to_read: Prediction
) -> tuple[Prediction, ...]:
    return (xss, overflow, abstention, vendor_id, nothing_to_read)
