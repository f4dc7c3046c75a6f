from __future__ import annotations

import pytest

from ctiforge.corpus.contamination.choices import Choices, find_choices, options_key

OPTIONS = ("Audit", "Pre-boot check", "User training", "Code signing")
EXPECTED = Choices("Which control stops the loader?", OPTIONS)


@pytest.mark.parametrize(
    "text",
    [
        "Which control stops the loader?\nA) Audit\nB) Pre-boot check\nC) User training\nD) Code signing",
        "Which control stops the loader?\nA. Audit\nB. Pre-boot check\nC. User training\nD. Code signing\n\nReply briefly.",
        "Which control stops the loader?  **Options:** A) Audit B) Pre-boot check C) User training D) Code signing",
        "Which control stops the loader? (A) Audit (B) Pre-boot check (C) User training (D) Code signing **Note:** be brief",
        "Which control stops the loader?\na) Audit\nb) Pre-boot check\nc) User training\nd) Code signing",
    ],
)
def test_options_are_found(text: str) -> None:
    assert find_choices(text) == EXPECTED


@pytest.mark.parametrize("text", ["", "A. Smith found B. Jones", "Grade A) and grade B) only", "no options at all"])
def test_prose_has_no_options(text: str) -> None:
    assert find_choices(text) is None


def test_the_order_of_options_does_not_matter() -> None:
    assert options_key(OPTIONS) == options_key([option.upper() for option in reversed(OPTIONS)])
    assert options_key(OPTIONS) != options_key((*OPTIONS[:3], "Sandboxing"))
    assert options_key(["Only one"]) == ()
