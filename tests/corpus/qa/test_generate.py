"""Generated questions: grounded, with one right option, the same every time, in the numbers asked for."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from ctiforge.corpus.qa import DEFAULT_COUNTS, FormCounts, QaObjects, QaSettings, build_generators, generate_qa
from ctiforge.corpus.record import CorpusRecord

ALL = QaSettings(counts={name: FormCounts(200, 200) for name in DEFAULT_COUNTS})


@pytest.fixture(scope="module")
def records(objects: QaObjects) -> list[CorpusRecord]:
    return list(generate_qa(objects, ALL, 7))


def options_of(record: CorpusRecord) -> dict[str, str]:
    lines = record.text.split("\n")[-4:]
    found = [re.fullmatch(r"\(?([ABCD])[).] (.+)", line) for line in lines]
    return {match[1]: match[2] for match in found if match}


def test_every_generator_makes_something(records: list[CorpusRecord]) -> None:
    made = {record.generator.partition("/")[2] for record in records}
    # No invented technique has three platforms, there are no assets, and only two sub-techniques are under another parent.
    assert set(DEFAULT_COUNTS) - made == {"technique-platform-except", "technique-asset", "technique-subtechnique"}


def test_the_table_of_counts_names_the_generators(objects: QaObjects) -> None:
    assert sorted(generator.name for generator in build_generators(objects)) == sorted(DEFAULT_COUNTS)


def test_a_choice_has_four_different_options_and_the_gold_one_is_the_value(
    objects: QaObjects, records: list[CorpusRecord]
) -> None:
    shows = {generator.name: generator.show for generator in build_generators(objects)}
    choices = [record for record in records if record.metadata["form"] == "choice"]
    assert len(choices) > 300
    for record in choices:
        options = options_of(record)
        assert list(options) == ["A", "B", "C", "D"], record.text
        assert len({text.casefold() for text in options.values()}) == 4
        assert record.completion == record.label
        values = record.metadata["options"]
        assert values["ABCD".index(record.label)] == record.metadata["value"]
        show = shows[record.generator.partition("/")[2]]
        for value, text in zip(values, options.values(), strict=True):
            assert text in (show(value), f"{value} {show(value)}")
        assert record.text in record.prompt
        assert record.prompt != record.text  # there is an instruction, and it is not part of what is compared


def test_no_wrong_option_is_right_or_doubtful(objects: QaObjects, records: list[CorpusRecord]) -> None:
    by_id = {record.id: record for record in records if record.metadata["form"] == "choice"}
    checked = 0
    for generator in build_generators(objects):
        for fact in generator.facts:
            for record in by_id.values():
                meta = record.metadata
                if record.generator != f"qa/{generator.name}" or (record.source_id, meta["value"]) != (
                    fact.subject,
                    fact.value,
                ):
                    continue
                if meta["slots"] != dict(fact.slots):
                    continue
                barred = {*generator.right(fact), *generator.doubtful(fact)}
                assert [each for each in meta["options"] if each in barred and each != fact.value] == []
                checked += 1
    assert checked == len(by_id)


def test_letters_are_even_within_every_generator(records: list[CorpusRecord]) -> None:
    for name in DEFAULT_COUNTS:
        letters = Counter(r.label for r in records if r.generator == f"qa/{name}" and r.metadata["form"] == "choice")
        assert max(letters.values(), default=0) - min((letters[each] for each in "ABCD"), default=0) <= 1, name


def test_records_cite_their_objects(objects: QaObjects, records: list[CorpusRecord]) -> None:
    assert objects.attack is not None
    assert objects.capec is not None
    assert objects.weaknesses is not None
    assert len({record.id for record in records}) == len(records)
    assert len({record.text for record in records}) == len(records)
    for record in records:
        assert record.kind == "qa"
        assert record.source_id in record.metadata["objects"]
        assert len(record.source_sha256) == 64
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", record.date)
        assert record.licence
        if record.metadata["form"] == "short":
            assert record.completion.endswith(record.source_id)
            assert record.label == ""
    by_subject = {record.source_id: record for record in records}
    assert by_subject["T9000.001"].source_sha256 == objects.attack["T9000.001"].sha256
    assert by_subject["CAPEC-9003"].source_sha256 == objects.capec["CAPEC-9003"].sha256
    assert by_subject["CWE-904"].source_sha256 == objects.weaknesses["CWE-904"].sha256
    assert by_subject["CWE-904"].licence == "MITRE CWE Terms of Use"
    assert by_subject["CVE-2099-20000"].licence == "invented"


def test_the_same_seed_gives_the_same_and_another_does_not(objects: QaObjects, records: list[CorpusRecord]) -> None:
    assert list(generate_qa(objects, ALL, 7)) == records
    other = {record.id: record for record in generate_qa(objects, ALL, 8)}
    shared = [record for record in records if record.id in other]
    assert len(shared) > len(records) / 2  # identifiers do not hang on the seed
    assert any(other[record.id].prompt != record.prompt for record in shared)


def test_a_generator_alone_makes_what_it_makes_among_all(objects: QaObjects, records: list[CorpusRecord]) -> None:
    alone = replace(ALL, counts={"technique-mitigation": FormCounts(200, 200)})
    assert list(generate_qa(objects, alone, 7)) == [r for r in records if r.generator == "qa/technique-mitigation"]


def test_counts_are_kept_and_subjects_come_in_turns(objects: QaObjects) -> None:
    few = QaSettings(counts={"weakness-parent": FormCounts(5, 3), "technique-tactic": FormCounts(14, 0)})
    made = list(generate_qa(objects, few, 1))
    assert Counter((r.generator, r.metadata["form"]) for r in made) == {
        ("qa/weakness-parent", "choice"): 5,
        ("qa/weakness-parent", "short"): 3,
        ("qa/technique-tactic", "choice"): 14,
    }
    assert len({r.source_id for r in made if r.generator == "qa/technique-tactic"}) == 14  # each once before any twice


def test_excluded_objects_are_not_asked_about(objects: QaObjects) -> None:
    excluded = frozenset({"T9001", "CWE-904", "CVE-2099-20003", "CAPEC-9003"})
    made = list(generate_qa(objects, replace(ALL, exclude=excluded), 7))
    assert made
    assert excluded.isdisjoint(record.source_id for record in made)


def test_what_is_not_given_is_not_asked_about(objects: QaObjects) -> None:
    only_cwe = QaObjects(weaknesses=objects.weaknesses)
    made = {record.generator for record in generate_qa(only_cwe, ALL, 7)}
    assert made
    assert all(name.startswith("qa/weakness-") and name != "qa/weakness-pattern" for name in made)
    assert list(generate_qa(QaObjects(), ALL, 7)) == []


def test_answers_without_citation(objects: QaObjects) -> None:
    settings = QaSettings(counts={"technique-tactic": FormCounts(0, 4)}, cite=False)
    answers = [record.completion for record in generate_qa(objects, settings, 1)]
    assert len(answers) == 4
    assert all(re.fullmatch(r"Stage \w+ \(TA90\d\d\)\.", answer) for answer in answers)


def test_a_question_that_quotes_gives_no_name_away(records: list[CorpusRecord], objects: QaObjects) -> None:
    assert objects.attack is not None
    definitions = [r for r in records if r.generator == "qa/technique-definition" and r.metadata["form"] == "choice"]
    assert definitions
    for record in definitions:
        stem = record.text.split("\n")[0]
        assert objects.attack[record.source_id].name not in stem
        assert record.source_id not in stem
