"""Extraction rules: what each reads, what none may read, and that none can be broken by a text."""

from __future__ import annotations

import re
import time
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctiforge.bench.extract import PUBLISHED_RULES, RULES, check_rule, extract_answer, rules_for
from ctiforge.bench.task import AnswerKind, Sample
from ctiforge.core.errors import SettingError

KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)
EVERY_RULE = [(rule.name, kind) for kind in KINDS for rule in rules_for(kind)]
FOUR = Sample("q/0", "", "B", ("Watering hole", "Spear phishing", "None", "Supply chain compromise"))
FIVE = Sample("q/1", "", "E", ("Alpha team", "Bravo team", "Charlie team", "Delta team", "Echo team"))
NORMAL = {
    "cwe": re.compile(r"CWE-[1-9]\d{0,3}"),
    "choice": re.compile(r"[A-E]"),
    "cvss_vector": re.compile(
        r"CVSS:3\.[01]/AV:[NALP]/AC:[LH]/PR:[NLH]/UI:[NR]/S:[UC]/C:[NLH]/I:[NLH]/A:[NLH]",
    ),
    "technique_set": re.compile(r"T\d{4}(?:,T\d{4})*"),
    "mitigation_set": re.compile(r"M\d{4}(?:,M\d{4})*"),
    "actor": re.compile(r"\S+(?: \S+)*"),
    "text": re.compile(r"\S+(?: \S+)*"),
}
VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"


def read(rule: str, text: str, sample: Sample = FOUR, kind: AnswerKind = "choice") -> str | None:
    return extract_answer(rule, kind, text, sample)


# The registry


def test_every_kind_has_rules_and_every_rule_says_what_it_does() -> None:
    assert set(KINDS) == {kind for rule in RULES.values() for kind in rule.kinds}
    assert all(rule.description and RULES[rule.name] is rule for rule in RULES.values())
    assert [rule.name for rule in rules_for("cwe")] == ["last-cwe", "first-cwe", "unique-cwe", "last-line"]
    assert all(name in {rule.name for rule in rules_for(kind)} for kind, name in PUBLISHED_RULES.items())


def test_an_unknown_rule_gets_a_suggestion_from_those_of_the_kind() -> None:
    with pytest.raises(SettingError, match=r"unknown extraction rule 'last-leter'") as error:
        check_rule("last-leter", "choice")
    assert "did you mean 'last-letter'" in str(error.value.fix)
    with pytest.raises(SettingError, match="does not read answers of the kind 'choice'") as error:
        extract_answer("last-cwe", "choice", "B", FOUR)
    assert "cascade" in str(error.value.fix)


# CWE


@pytest.mark.parametrize(
    "text",
    ["CWE-79", "**CWE-79**", "`CWE-79`", "cwe-79", "CWE\u201179", "CWE\u201379", "CWE\u221279", "CWE 79", "CWE_79",
     "CWE ID: 79", "CWE-079", "\uff23\uff37\uff25\uff0d\uff17\uff19", "_CWE-79_", "\\boxed{CWE-79}",
     "CWE-79: Cross-site scripting.",
     "(CWE-79)", "C\u200bWE-79", "CWE\u00a079", "<think>CWE-20 or CWE-89?</think>\nCWE-79",
     "CWE-20, surely?\n</think>\n\nCWE-79",
     "<|channel>thought\nCWE-20\n<channel|>CWE-79"],
)  # fmt: skip
@pytest.mark.parametrize("rule", ["last-cwe", "first-cwe", "unique-cwe", "last-line"])
def test_one_cwe_however_it_is_written(rule: str, text: str) -> None:
    assert read(rule, text, kind="cwe") == "CWE-79"


@pytest.mark.parametrize(
    ("text", "last", "first", "unique", "line"),
    [
        ("It is not CWE-20.\nIt is CWE-79", "CWE-79", "CWE-20", None, "CWE-79"),
        ("CWE-79 it is.\nThat is all.", "CWE-79", "CWE-79", "CWE-79", None),
        ("CWE-79 and again CWE-079\n---\n", "CWE-79", "CWE-79", "CWE-79", "CWE-79"),
        ("CWE-79 is in the CWE 2023 list", "CWE-79", "CWE-79", "CWE-79", "CWE-79"),
        ("no weakness", None, None, None, None),
        ("CWE-0 CWE-123456 XCWE-79", None, None, None, None),
        ("<think>It may be CWE-79", None, None, None, None),
        ("", None, None, None, None),
    ],
)
def test_which_cwe_counts(text: str, last: str | None, first: str | None, unique: str | None, line: str | None) -> None:
    found = [read(rule, text, kind="cwe") for rule in ("last-cwe", "first-cwe", "unique-cwe", "last-line")]
    assert found == [last, first, unique, line]


# Choice

DECORATED = [
    "{}", "**{}**", "*{}*", "({})", "{})", "{}.", "[{}]", "'{}'", "`{}`", "\\boxed{{{}}}", "$\\boxed{{\\text{{{}}}}}$",
    "\n\n{}\n\n", "- {}", "# {}", "Answer: {}", "**Answer:** {}", "**Answer: {}**", "Answer: ({})", "Answer - {}",
    "Final answer: **{}**.",
    "Answer: Option {}", "Answer:\n{}", "<answer>{}</answer>", "The answer is {}.", "The correct answer is ({}).",
    "The answer to this is option {}", "The best option is {}.", "Option {}", "Let me see.\n\n{}", "A word first, then:\n{}",
]  # fmt: skip


@pytest.mark.parametrize("form", DECORATED)
@pytest.mark.parametrize("letter", "ABCDE")
def test_a_letter_in_any_decoration_is_read_by_every_rule_that_may(letter: str, form: str) -> None:
    text = form.format(letter)
    for rule in ("cascade", "last-letter", "first-letter", "unique-letter", "last-line"):
        if rule == "last-line" and text.rstrip().endswith("</answer>"):
            continue
        assert read(rule, text, FIVE) == letter, rule


@pytest.mark.parametrize("form", [form for form in DECORATED if "{}" in form and "Option" not in form])
@pytest.mark.parametrize("letter", "abcde")
def test_a_small_letter_is_read_where_only_an_answer_can_stand(letter: str, form: str) -> None:
    assert read("cascade", form.format(letter), FIVE) == letter.upper()


@given(st.sampled_from(DECORATED), st.sampled_from("ABCDE"), st.text(alphabet="bcdfghjklm ,;\n", max_size=200))
def test_prose_before_a_decorated_letter_does_not_hide_it(form: str, letter: str, prose: str) -> None:
    prose = re.sub(r"(?<!\w)\w(?!\w)", "", prose)
    assert read("cascade", f"{prose}\n\n{form.format(letter)}", FIVE) == letter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: A\n\nOn reflection the answer is D.", "A"),
        ("Answer: A\nAnswer: D", "D"),
        ("The answer is B.\n\nC", "B"),
        ("The best option is B.\n\nC", "B"),
        ("Option A is about mail. Option D is about hosts.\n\nB", "B"),
        ("Spear phishing fits.\n\nD is the most accurate choice.", "D"),
        ("I would go with option D", "D"),
        ("D) Supply chain compromise", "D"),
        ("It must be spear phishing, word for word.", "B"),
        ("Not a watering hole, but supply chain compromise.", "D"),
        ("None", "C"),
        ("None of the sources say so.", None),
        ("A) Watering hole\nB) Spear phishing\nC) None\nD) Supply chain compromise", "D"),
        ("The answer is a buffer overflow.", None),
        ("Answer: A buffer overflow was used.", None),
        ("Answer: A watering hole", "A"),
        ("A is right", "A"),
        ("A vulnerability in C++ lets an attacker write to C:\\Windows.", None),
        ("A/B testing, AV:A, U.S.A, D-Link, C#, C&C", None),
        ("E", None),
        ("\uff22", "B"),
        ("\u24b7", "B"),
        ("\U0001d401", "B"),
        ("<think>Answer: A</think>B", "B"),
        ("<think>Answer: A", None),
        ("Answer: A, I think.</think>B", "B"),
        ("", None),
    ],
)
def test_the_cascade_takes_its_steps_in_order(text: str, expected: str | None) -> None:
    assert read("cascade", text) == expected


@pytest.mark.parametrize(
    ("text", "last", "first", "unique", "line"),
    [
        ("B\nD", "D", "B", None, "D"),
        ("B\n\nThat is why B is right.", "B", "B", "B", "B"),
        ("A virus got in. D", "D", "D", "D", "D"),
        ("A B C D", "D", "A", None, None),
        ("C\nThat was all.", "C", "C", "C", None),
        ("A) Watering hole\nB) Spear phishing", "B", "A", None, None),
        ("It is clear.\nB) Spear phishing", "B", "B", "B", "B"),
        ("A person did it.", None, None, None, None),
    ],
)
def test_which_letter_counts(text: str, last: str | None, first: str | None, unique: str | None, line: str | None) -> None:
    assert [read(rule, text) for rule in ("last-letter", "first-letter", "unique-letter", "last-line")] == [
        last, first, unique, line,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The best option is C.", None),
        ("The correct answer is D) Hosts.", "D"),
        ("Answer: C", "C"),
        ("The answer is A.\nThe answer is B.", "B"),
        ("Option C is broad.\nOption D too.\n\nA B C D", "C"),
        ("Option C is broad.\n\n**B**", "B"),
        ("B\nE", None),
        ("C\nmail", None),
        ("A is the right one.", None),
    ],
)
def test_the_published_rule_reads_as_its_authors_did(text: str, expected: str | None) -> None:
    assert read("published-cascade", text) == expected


def test_an_option_cannot_be_told_from_its_twin() -> None:
    twins = Sample("q/2", "", "A", ("Same words", "same words", "Other words", ""))
    assert read("cascade", "It is the same words.", twins) is None
    assert read("cascade", "It is the other words.", twins) == "C"


def test_the_longer_of_two_options_that_end_together_is_meant() -> None:
    nested = Sample("q/3", "", "A", ("Batch file", "File", "Process", "User"))
    assert read("cascade", "The source to watch for this is the batch file.", nested) == "A"


# Vectors


@pytest.mark.parametrize(
    "text",
    [VECTOR, VECTOR.replace("CVSS:3.1/", ""), "AV:N/AC:L/UI:R/PR:N/S:C/A:N/I:L/C:L", f"**{VECTOR}**", VECTOR.lower(),
     f"Old: CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N\nNew: {VECTOR}.", VECTOR.replace("/", " / "), f"`{VECTOR}/E:P/RL:O`",
     "CVSS v3.1: AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", f"<think>AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N</think>{VECTOR}"],
)  # fmt: skip
def test_a_vector_however_it_is_written(text: str) -> None:
    assert read("last-vector", text, kind="cvss_vector") == VECTOR
    assert read("last-line", text, kind="cvss_vector") == VECTOR


@pytest.mark.parametrize(
    "text",
    ["AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L", "CVSS:3.1/AV:N/AC:L/PR:N/UI:X/S:C/C:L/I:L/A:N", VECTOR + "/A:H",
     "AV:N/AC:L/Au:N/C:P/I:P/A:P", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", VECTOR.replace("3.1",
     "2.0"), "9.8", "",
     f"{VECTOR}\nCVSS:3.1/AV:N/AC:L/PR:N/UI:R"],
)  # fmt: skip
def test_half_a_vector_is_none(text: str) -> None:
    assert read("last-vector", text, kind="cvss_vector") is None


def test_a_vector_of_version_3_0_stays_one() -> None:
    assert read("last-vector", VECTOR.replace("3.1", "3.0"), kind="cvss_vector") == VECTOR.replace("3.1", "3.0")


# Sets of identifiers


@pytest.mark.parametrize(
    ("rule", "kind", "text", "expected"),
    [
        ("last-line-ids", "technique_set", "First T1003.\nT1071, T1059.001, t1059", "T1059,T1071"),
        ("all-ids", "technique_set", "First T1003.\nT1071, T1059.001, t1059", "T1003,T1059,T1071"),
        ("last-line-ids", "technique_set", "T1003\nnothing else", None),
        ("all-ids", "technique_set", "<think>T1003</think>**T1071**", "T1071"),
        ("all-ids", "technique_set", "T100, T10711, AT1003", None),
        ("last-line-ids", "mitigation_set", "M1013\nM1026, M1018 and M1026", "M1018,M1026"),
        ("all-ids", "mitigation_set", "M1013\nM1026, M1018 and M1026", "M1013,M1018,M1026"),
    ],
)
def test_sets_are_sorted_folded_and_without_repeats(rule: str, kind: AnswerKind, text: str, expected: str | None) -> None:
    assert read(rule, text, kind=kind) == expected


# Names and texts


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("last-line", "Long story.\n\n**Threat actor: Velvet Otter**", "Velvet Otter"),
        ("last-line", "The most likely threat actor is \u201cVelvet Otter\u201d.", "Velvet Otter"),
        ("last-line", "APT99 (Velvet Otter)", "APT99 (Velvet Otter)"),
        ("answer-tag", "Answer: Grey Heron\n<answer>Velvet  Otter</answer>\nBye", "Velvet Otter"),
        ("answer-tag", "**Answer:** Velvet Otter\nBye", "Velvet Otter"),
        ("answer-tag", "Velvet Otter", None),
        ("last-line", "**", None),
    ],
)
def test_a_name_stands_without_what_is_around_it(rule: str, text: str, expected: str | None) -> None:
    assert read(rule, text, kind="actor") == expected


def test_texts_keep_their_words() -> None:
    text = "<think>hm</think>\nOne  two:\n *three* "
    assert read("whole", text, kind="text") == "One two: *three*"
    assert read("last-line", text, kind="text") == "*three*"
    assert read("answer-tag", "Answer: forty-two\nor so", kind="text") == "forty-two"
    assert read("whole", " \n", kind="text") is None


# Any text whatever

PIECES = st.sampled_from(
    [
        "CWE-", "79", "A", "b", "(c)", "Answer:", "answer is ", "option ", "**", "\\boxed{", "}", "<think>", "</think>",
        "\n", " ",
        "\u2011", "AV:N/AC:L/PR:N/", "UI:R/S:C/C:L/I:L/A:N", "T1059", ".001", "M1026", ",", "None", "Spear phishing",
        "<answer>",
        "</answer>", "\u0130", "\ufdfa", "\u0301", "\u202e", "\x00", "\U0001d400", "\ud800", "\u0663",
    ]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=5))).map("".join)))
@example("\ud800")
@example("</think>" * 3 + "<think>")
def test_no_text_breaks_a_rule_and_every_answer_is_in_normal_form(text: str) -> None:
    for sample in (FOUR, FIVE, Sample("q/4", "", "")):
        for name, kind in EVERY_RULE:
            answer = extract_answer(name, kind, text, sample)
            assert answer is None or NORMAL[kind].fullmatch(answer), (name, kind, answer)
            if kind == "choice":
                assert answer is None or answer in "ABCDE"[: len(sample.choices) or 4]


@given(
    st.integers(1, 9999),
    st.sampled_from("-\u2010\u2011\u2012\u2013\u2014\u2212\uff0d"),
    st.sampled_from(["{}", "**{}**", "({})", "{}."]),
)
def test_a_rendered_cwe_is_read_back(number: int, dash: str, form: str) -> None:
    for rule in rules_for("cwe"):
        assert read(rule.name, "So it is\n" + form.format(f"CWE{dash}{number}"), kind="cwe") == f"CWE-{number}"


@given(st.tuples(*(st.sampled_from(values) for values in ("NALP", "LH", "NLH", "NR", "UC", "NLH", "NLH", "NLH"))), st.randoms())
def test_a_rendered_vector_is_read_back_in_any_order(values: tuple[str, ...], random: object) -> None:
    pairs = [f"{name}:{value}" for name, value in zip("AV AC PR UI S C I A".split(), values, strict=True)]
    expected = "CVSS:3.1/" + "/".join(pairs)
    random.shuffle(pairs)  # type: ignore[attr-defined]
    assert read("last-vector", "/".join(pairs), kind="cvss_vector") == expected


@given(st.sets(st.integers(1000, 1999), min_size=1))
def test_a_rendered_set_is_read_back(numbers: set[int]) -> None:
    expected = ",".join(f"T{number}" for number in sorted(numbers))
    for rule in rules_for("technique_set"):
        assert read(rule.name, ", ".join(f"T{number}.002" for number in numbers), kind="technique_set") == expected


HOSTILE = [
    "a", "A ", " ", "\n", "*", "_", "-", "(", "answer", "answer:", "answer is ", "option ", "A is the ", "\\boxed{", "<think>",
    "</think>", "CWE", "CWE-", "CWE-0", "0", "CWE-79 ", "AV:N/", "C:", "T1059,", "T1059.", "<answer>", "\u0301\u0323", "\u200b",
    "A) b\n", "\n ", "Spear phishing", "spear phishing1", "the actor is ",
]  # fmt: skip


def seconds(rule: str, kind: AnswerKind, text: str) -> float:
    started = time.process_time()
    extract_answer(rule, kind, text, FOUR)
    return time.process_time() - started


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
def test_a_long_text_of_anything_takes_moments(unit: str) -> None:
    text = unit * (2**15 // len(unit))
    slow = {(name, kind): taken for name, kind in EVERY_RULE if (taken := seconds(name, kind, text)) > 0.5}
    assert slow == {}


@pytest.mark.slow
@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
def test_a_megabyte_of_anything_takes_a_second_or_two(unit: str) -> None:
    text = unit * (2**20 // len(unit))
    slow = {(name, kind): taken for name, kind in EVERY_RULE if (taken := seconds(name, kind, text)) > 4}
    assert slow == {}
