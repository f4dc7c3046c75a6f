from __future__ import annotations

import html
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.corpus.contamination.normal_form import exact_key, fold_characters, normalize

PLAIN = "Example CMS before 4.2.1 doesn't validate the user-supplied 'path' parameter; users read files by ../ (CVE-2099-0001)."
LOOKALIKES = str.maketrans("aceopxyiABEHKMOPT", "асеорхуіАВЕНКМОРТ")
FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})


@pytest.mark.parametrize(
    "disguised",
    [
        PLAIN.upper(),
        PLAIN.translate(LOOKALIKES),
        PLAIN.translate(FULL_WIDTH),
        "".join(f"&#{ord(each)};" for each in PLAIN),
        html.escape(html.escape(PLAIN)),
        "\u200b".join(PLAIN),
        PLAIN.replace("e", "e\u0301").replace("i", "i\u00ad"),
        PLAIN.replace(" ", "\u00a0\n"),
        PLAIN.replace("-", "\u2011").replace("'", "\u2019"),
        "".join(each for each in PLAIN if each.isalnum() or each == " "),
        PLAIN.replace("i", "ı").replace("a", "ɑ"),
    ],
)
def test_a_disguise_does_not_change_the_text(disguised: str) -> None:
    assert disguised != PLAIN
    assert exact_key(normalize(disguised)) == exact_key(normalize(PLAIN))


def test_another_word_changes_it() -> None:
    assert normalize(PLAIN) != normalize(PLAIN.replace("read", "write"))
    assert normalize("CVE-2099-0001") == "cve 2099 0001"


def test_folding_keeps_case_and_punctuation() -> None:
    assert fold_characters("СVЕ-2099-0001: Café &amp; Bar") == "CVE-2099-0001: Cafe & Bar"


@given(st.text())
def test_normal_form_is_a_fixed_point_of_words(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert once == " ".join(once.split())


@given(st.text(alphabet=st.characters(codec="ascii")), st.integers())
def test_invisible_characters_never_matter(text: str, seed: int) -> None:
    chance = random.Random(seed)
    spotted = "".join(each + chance.choice(["", "\u200b", "\u2060", "\ufeff"]) for each in text)
    # An entity that is broken by an invisible character is no entity, so only texts without one are equal.
    if "&" not in text:
        assert normalize(spotted) == normalize(text)
