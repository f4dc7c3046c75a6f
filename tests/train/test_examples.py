from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.advisory import Advisory, AssignedWeakness, Party, Reject, RejectReason, SourceRef
from ctiforge.core.errors import InputError
from ctiforge.core.near_duplicates import JaccardIndex
from ctiforge.core.normalized_text import normalize_text
from ctiforge.sources.cwe import CweCatalogue, load_catalogue, shipped_table
from ctiforge.sources.labelled_cves import order_labels
from ctiforge.sources.reservation_dates import ReservationCalendar
from ctiforge.train.examples import (
    BenchmarkHoldout,
    ExampleSet,
    collect_examples,
    load_holdout,
)
from ctiforge.train.labelled_texts import LabelledText

TEXT = "The import page of Frobnicator writes a request parameter into its answer."
SOURCE = SourceRef("feed.jsonl")
NOTHING = BenchmarkHoldout(frozenset(), frozenset())
PARTIES: tuple[Party, ...] = ("cna", "adp")


def assigned(party: Party, *labels: str) -> tuple[AssignedWeakness, ...]:
    """Labels as a party wrote them: those that start with CWE- are numbers, others words."""
    return tuple(AssignedWeakness(party, label if label.startswith("CWE-") else None, label) for label in labels)


def advisory(
    cve_id: str = "CVE-2099-10001",
    description: str = TEXT,
    weaknesses: tuple[AssignedWeakness, ...] = assigned("cna", "CWE-79"),
    published: str = "2099-03-04T05:06:07.890Z",
) -> Advisory:
    return Advisory(cve_id, SOURCE, description, weaknesses=weaknesses, published=published)


def collect(
    *records: Advisory | Reject,
    holdout: BenchmarkHoldout = NOTHING,
    parties: tuple[Party, ...] = PARTIES,
    reserved: dict[str, date] | None = None,
) -> ExampleSet:
    return collect_examples(records, load_catalogue(shipped_table()), parties, ReservationCalendar(reserved or {}), holdout)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("A  B\tc\n", "a b c"),
        ("a-b, (C)!", "a b c"),
        ("\ufeffÄpfel\u00a0& Birnen", "äpfel birnen"),
        ("snake_case 1.2.3", "snake_case 1 2 3"),
        ("...", ""),
    ],
)
def test_normalize_text(text: str, same: str) -> None:
    assert normalize_text(text) == same


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize_text(normalize_text(text)) == normalize_text(text)


class TestHoldout:
    def test_ids_from_any_cell_and_texts_of_one_column(self, tmp_path: Path) -> None:
        path = tmp_path / "bench.tsv"
        path.write_text(
            "URL\tDescription\tPrompt\n"
            'https://vulns.example/CVE-2099-1111\t"He said ""stop"", in\ntwo lines"\tcompare cve-2099-2222\n'
            "none\tCVE\u20112099\u20113333 has a text.\u2028And more.\tx\n"
            "short row\n",
            encoding="utf-8",
        )
        holdout = load_holdout([(path, "Description")])
        assert holdout.cve_ids == {"CVE-2099-1111", "CVE-2099-2222", "CVE-2099-3333"}
        assert holdout.texts == {"he said stop in two lines", "cve 2099 3333 has a text and more"}

    def test_a_file_without_texts_gives_its_ids(self, tmp_path: Path) -> None:
        (tmp_path / "a.tsv").write_text("Question\nWhich is CVE-2099-1111?\n", encoding="utf-8")
        (tmp_path / "b.tsv").write_text("\ufeffText\tId\r\nSome words here\tCVE-2099-2222\r\n", encoding="utf-8")
        holdout = load_holdout([(tmp_path / "a.tsv", None), (tmp_path / "b.tsv", "Text")])
        assert holdout.cve_ids == {"CVE-2099-1111", "CVE-2099-2222"}
        assert holdout.texts == {"some words here"}

    def test_reason(self) -> None:
        holdout = BenchmarkHoldout(frozenset({"CVE-2099-1111"}), frozenset({"some words"}))
        assert holdout.reason("CVE-2099-1111", "some words") == "exact_id"
        assert holdout.reason("CVE-2099-2222", "Some: WORDS!") == "exact_text"
        assert holdout.reason("CVE-2099-2222", "Some other words") is None
        assert holdout.reason("CVE-2099-11110", "") is None

    def test_a_missing_file_stops_the_training(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"gone\.tsv.*cannot be left out") as caught:
            load_holdout([(tmp_path / "gone.tsv", None)])
        assert "exclude" in str(caught.value.fix)

    def test_a_missing_column_names_those_there_are(self, tmp_path: Path) -> None:
        (tmp_path / "bench.tsv").write_text("URL\tText\na\tb\n", encoding="utf-8")
        with pytest.raises(InputError, match="no column 'Description'") as caught:
            load_holdout([(tmp_path / "bench.tsv", "Description")])
        assert "URL, Text" in str(caught.value.fix)

    @pytest.mark.parametrize("column", [None, "Description"])
    def test_an_unreadable_file(self, column: str | None, tmp_path: Path) -> None:
        (tmp_path / "bench.tsv").write_bytes("Description\nfrüher\n".encode("latin-1"))
        with pytest.raises(InputError, match="not UTF-8"):
            load_holdout([(tmp_path / "bench.tsv", column)])

    def test_an_empty_file_has_no_column(self, tmp_path: Path) -> None:
        (tmp_path / "bench.tsv").touch()
        assert load_holdout([(tmp_path / "bench.tsv", None)]) == NOTHING
        with pytest.raises(InputError, match="no column"):
            load_holdout([(tmp_path / "bench.tsv", "Description")])


class TestOrderLabels:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ((), ()),
            (("CWE-79",), ("CWE-79",)),
            (("CWE-89", "CWE-79"), ("CWE-89", "CWE-79")),  # the party's order
            (("CWE-79", "CWE-89", "CWE-79"), ("CWE-79", "CWE-89")),
            (("CWE-74", "CWE-89"), ("CWE-89", "CWE-74")),  # an ancestor
            (("CWE-119", "CWE-416"), ("CWE-416", "CWE-119")),  # discouraged, on another branch
            (("CWE-119", "CWE-787", "CWE-121"), ("CWE-121", "CWE-787", "CWE-119")),
            (("CWE-200",), ("CWE-200",)),  # discouraged alone is still a label
        ],
    )
    def test_the_most_telling_first(self, given: tuple[str, ...], expected: tuple[str, ...], catalogue: CweCatalogue) -> None:
        assert order_labels(given, catalogue) == expected

    @given(st.lists(st.sampled_from(["CWE-74", "CWE-89", "CWE-119", "CWE-787", "CWE-121", "CWE-79", "CWE-20", "CWE-200"])))
    def test_nothing_is_lost_or_invented(self, given: list[str]) -> None:
        ordered = order_labels(given, load_catalogue(shipped_table()))
        assert sorted(ordered) == sorted(set(given))
        assert order_labels(ordered, load_catalogue(shipped_table())) == ordered


class TestCollect:
    def test_one_record(self) -> None:
        (example,) = collect(advisory()).examples
        assert (example.cve_id, example.text, example.labels) == ("CVE-2099-10001", TEXT, ("CWE-79",))
        assert (example.party, example.day, example.dated) == ("cna", date(2099, 3, 4), True)

    def test_feeds_are_merged_by_cve(self) -> None:
        (example,) = collect(
            advisory(description="", weaknesses=assigned("adp", "CWE-89"), published=""),
            advisory(description=TEXT, weaknesses=assigned("adp", "CWE-352"), published="2099-05-05"),
            advisory(description="A later text is not taken.", weaknesses=assigned("cna", "CWE-79"), published="2099-06-06"),
        ).examples
        assert example.text == TEXT
        assert example.day == date(2099, 5, 5)
        assert (example.party, example.labels) == ("cna", ("CWE-79",))

    @pytest.mark.parametrize(
        ("parties", "label"), [(("cna", "adp"), "CWE-79"), (("adp", "cna"), "CWE-352"), (("adp",), "CWE-352")]
    )
    def test_the_most_trusted_party_that_labelled(self, parties: tuple[Party, ...], label: str) -> None:
        both = assigned("cna", "CWE-79") + assigned("adp", "CWE-352") + assigned("nvd", "CWE-89")
        assert collect(advisory(weaknesses=both), parties=parties).examples[0].labels == (label,)

    def test_a_party_without_a_usable_label_is_passed_over(self) -> None:
        both = assigned("cna", "Remote Code Execution", "CWE-16", "CWE-99999") + assigned("adp", "CWE-89")
        (example,) = collect(advisory(weaknesses=both)).examples
        assert (example.party, example.labels) == ("adp", ("CWE-89",))

    def test_words_are_resolved(self) -> None:
        assert collect(advisory(weaknesses=assigned("cna", "SQL Injection"))).examples[0].labels == ("CWE-89",)

    def test_an_undated_record_gets_an_estimate(self) -> None:
        (example,) = collect(advisory(published=""), reserved={"CVE-2099-10001": date(2099, 2, 2)}).examples
        assert (example.day, example.dated) == (date(2099, 2, 2), False)

    @pytest.mark.parametrize("published", ["04/03/2099", "2099", "2099-13-01", "yesterday"])
    def test_an_unreadable_date_counts_as_none(self, published: str) -> None:
        (example,) = collect(advisory(published=published)).examples
        assert (example.day, example.dated) == (date(2099, 7, 1), False)
        (example,) = collect(advisory(published=published), advisory(published="2099-02-03")).examples
        assert (example.day, example.dated) == (date(2099, 2, 3), True)

    def test_every_reason(self) -> None:
        held_out = BenchmarkHoldout(frozenset({"CVE-2099-0001"}), frozenset({normalize_text("Held out " + TEXT)}))
        collected = collect(
            advisory("CVE-2099-0001"),
            advisory("CVE-2099-0002", "held OUT:  " + TEXT),
            advisory("CVE-2099-0003", "Too short"),
            advisory("CVE-2099-0004", ""),
            advisory("CVE-2099-0005", weaknesses=()),
            advisory("CVE-2099-0006", weaknesses=assigned("cna", "CWE-16")),
            advisory("GHSA-xxxx-yyyy-zzzz"),
            Reject(SOURCE, "malformed_json", "broken"),
            Reject(SOURCE, "cve_rejected", "rejected"),
            Reject(SOURCE, "cve_rejected", "rejected"),
            holdout=held_out,
        )
        assert collected.examples == []
        assert collected.left_out == {
            "benchmark_exact_id": 1,
            "benchmark_exact_text": 1,
            "text_too_short": 2,
            "no_usable_label": 2,
            "record_without_cve_id": 1,
            "record_malformed_json": 1,
            "record_cve_rejected": 2,
        }

    def test_a_benchmark_cve_is_left_out_however_its_id_is_written(self) -> None:
        held_out = BenchmarkHoldout(frozenset({"CVE-2099-0001"}), frozenset())
        assert collect(advisory("cve-2099-0001"), holdout=held_out).left_out == {"benchmark_exact_id": 1}

    def test_a_held_out_text_in_a_later_feed_does_not_bring_the_cve_back(self) -> None:
        held_out = BenchmarkHoldout(frozenset(), frozenset({normalize_text(TEXT)}))
        collected = collect(
            advisory(description=TEXT), advisory(description="Quite another description of it."), holdout=held_out
        )
        assert collected.left_out == {"benchmark_exact_text": 1}

    @given(
        st.lists(
            st.builds(
                advisory,
                st.sampled_from(["CVE-2099-0001", "cve-2099-0001", "CVE-2099-0002", "CVE-2099-0003", "GHSA-a", "feed.jsonl:7"]),
                st.sampled_from([TEXT, "", "Short", "Held out " + TEXT]),
                st.sampled_from([assigned("cna", "CWE-79"), assigned("adp", "CWE-89"), assigned("nvd", "CWE-20"), ()]),
                st.sampled_from(["", "2099-02-03", "nonsense"]),
            )
            | st.builds(Reject, st.just(SOURCE), st.sampled_from(["malformed_json", "too_large"]), st.just("why"))
        )
    )
    def test_nothing_is_lost(self, records: list[Advisory | Reject]) -> None:
        held_out = BenchmarkHoldout(frozenset({"CVE-2099-0003"}), frozenset({normalize_text("Held out " + TEXT)}))
        collected = collect(*records, holdout=held_out)
        reasons: Counter[RejectReason] = Counter(each.reason for each in records if isinstance(each, Reject))
        ids = [each.id.upper() for each in records if isinstance(each, Advisory)]
        cves = {each for each in ids if each.startswith("CVE-")}
        without = sum(not each.startswith("CVE-") for each in ids)
        by_record = {reason: n for reason, n in collected.left_out.items() if reason.startswith("record_")}
        expected = {f"record_{reason}": n for reason, n in reasons.items()} | {"record_without_cve_id": without}
        assert by_record == {reason: n for reason, n in expected.items() if n}
        by_cve = collected.left_out.total() - sum(by_record.values())
        assert len(collected.examples) + by_cve == len(cves)
        assert len({example.cve_id for example in collected.examples}) == len(collected.examples)
        assert {example.cve_id for example in collected.examples} <= cves - {"CVE-2099-0003"}


def collect_texts(*texts: LabelledText | Reject, holdout: BenchmarkHoldout = NOTHING) -> ExampleSet:
    record = advisory(weaknesses=assigned("cna", "CWE-20"))
    return collect_examples(
        [record],
        load_catalogue(shipped_table()),
        ("cna", "nvd"),
        ReservationCalendar({}),
        holdout,
        [("nvd", text) for text in texts],
        undated_before=date(2099, 7, 1),
    )


def test_a_labelled_text_adds_to_the_cve_that_has_it() -> None:
    (example,) = collect_texts(LabelledText(TEXT.upper().replace(" ", "  "), "CWE-79"), LabelledText(TEXT, "CWE-80")).examples
    assert example.cve_id == "CVE-2099-10001"
    assert example.labels == ("CWE-20",)
    assert example.by_party == {"cna": ("CWE-20",), "nvd": ("CWE-80", "CWE-79")}  # the ancestor behind
    assert set(example.targets) == {"CWE-20", "CWE-80"}
    assert example.day == date(2099, 3, 4)


def test_a_labelled_text_that_no_cve_has_is_an_example_without_a_date() -> None:
    found = collect_texts(LabelledText("Another page of Widgetron writes a parameter out.", "CWE-79"))
    _, example = found.examples
    assert (example.cve_id, example.day, example.dated, example.party) == ("", date.min, False, "nvd")


def test_an_undated_text_that_names_a_later_year_is_left_out() -> None:
    found = collect_texts(LabelledText("Widgetron before build 2099 writes a parameter out.", "CWE-79"))
    assert len(found.examples) == 1
    assert found.left_out == {"undated_text_names_later_year": 1}


def test_benchmark_texts_are_left_out_of_labelled_texts_too() -> None:
    other = "Another page of Widgetron writes a request parameter into its answer."
    exact = BenchmarkHoldout(frozenset(), frozenset({normalize_text(other)}))
    assert collect_texts(LabelledText(other, "CWE-79"), holdout=exact).left_out == {"benchmark_exact_text": 1}
    near = BenchmarkHoldout(frozenset(), frozenset(), JaccardIndex([normalize_text(other)], 0.8))
    assert collect_texts(LabelledText(other + " Really.", "CWE-79"), holdout=near).left_out == {"benchmark_near_duplicate": 1}


def test_a_rejected_labelled_text_is_counted() -> None:
    found = collect_texts(Reject(SOURCE, "missing_field", "no description in 'prompt'"))
    assert found.left_out == {"record_missing_field": 1}


def test_the_holdout_finds_near_duplicates_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "bench.tsv"
    path.write_text(f"URL\tDescription\nhttps://vulns.example/1\t{TEXT}\n", encoding="utf-8")
    altered = TEXT.replace("Frobnicator", "Widgetron")
    assert load_holdout([(path, "Description")]).reason("CVE-2099-1", altered) is None
    assert load_holdout([(path, "Description")], 0.8).reason("CVE-2099-1", altered) == "near_duplicate"
    assert load_holdout([(path, "Description")], 0.8).reason("CVE-2099-1", TEXT) == "exact_text"
