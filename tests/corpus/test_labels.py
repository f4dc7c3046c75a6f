from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.corpus.labels import Label, LabelChooser, NoLabel
from ctiforge.corpus.recipe import LabelPolicy
from ctiforge.sources.cwe import CweCatalogue, load_catalogue, shipped_table

WRITE = "An out-of-bounds write in the parser of Frobnicator corrupts the heap."


def choose(catalogue: CweCatalogue, labels: dict[Any, list[str]], text: str = WRITE, **policy: Any) -> Label | NoLabel:
    return LabelChooser(LabelPolicy(**({"prefer": ["cna", "adp", "nvd"]} | policy)), catalogue).choose(labels, text)


def chosen(catalogue: CweCatalogue, labels: dict[Any, list[str]], text: str = WRITE, **policy: Any) -> tuple[str, str] | str:
    label = choose(catalogue, labels, text, **policy)
    return (label.cwe_id, label.party) if isinstance(label, Label) else label.reason


def test_preference(catalogue: CweCatalogue) -> None:
    labels = {"nvd": ["CWE-787"], "adp": ["CWE-120"], "ghsa": ["CWE-79"]}
    assert chosen(catalogue, labels) == ("CWE-120", "adp")
    assert chosen(catalogue, labels, prefer=["nvd", "cna"]) == ("CWE-787", "nvd")
    assert chosen(catalogue, labels, prefer=["cna"]) == "no_label"
    assert chosen(catalogue, {"cna": [], "nvd": ["CWE-787"]}) == ("CWE-787", "nvd")


def test_as_is_takes_live_weaknesses_only(catalogue: CweCatalogue) -> None:
    assert chosen(catalogue, {"cna": ["CWE-119"]}) == ("CWE-119", "cna")
    assert chosen(catalogue, {"cna": ["CWE-16"], "nvd": ["CWE-787"]}) == ("CWE-787", "nvd")
    assert chosen(catalogue, {"cna": ["CWE-16"]}) == "not_mappable"
    assert chosen(catalogue, {"cna": ["CWE-119", "CWE-787"]}) == ("CWE-787", "cna")  # the ancestor adds nothing


@pytest.mark.parametrize(
    ("consensus", "labels", "expected"),
    [
        ("none", {"cna": ["CWE-787"], "nvd": ["CWE-125"]}, ("CWE-787", "cna")),
        ("agree", {"cna": ["CWE-787"], "nvd": ["CWE-125"]}, "no_consensus"),
        ("agree", {"cna": ["CWE-120", "CWE-787"], "nvd": ["CWE-787"]}, ("CWE-787", "cna")),
        ("agree", {"cna": ["CWE-787"]}, ("CWE-787", "cna")),
        ("required", {"cna": ["CWE-787"]}, "one_party_alone"),
        ("required", {"adp": ["CWE-787"], "nvd": ["CWE-787"]}, ("CWE-787", "adp")),
    ],
)
def test_consensus(consensus: str, labels: dict[Any, list[str]], expected: object, catalogue: CweCatalogue) -> None:
    assert chosen(catalogue, labels, consensus=consensus) == expected


class TestAllowedOnly:
    def test_an_allowed_entry_of_any_party_comes_first(self, catalogue: CweCatalogue) -> None:
        labels = {"cna": ["CWE-119"], "nvd": ["CWE-125"]}
        assert chosen(catalogue, labels, usage="allowed-only") == ("CWE-125", "nvd")

    def test_the_replacement_whose_words_the_text_has(self, catalogue: CweCatalogue) -> None:
        label = choose(catalogue, {"cna": ["CWE-119"]}, usage="allowed-only")
        assert isinstance(label, Label)
        assert (label.cwe_id, label.assigned, label.way) == ("CWE-787", "CWE-119", ("label cna", "replaced CWE-119"))
        assert chosen(catalogue, {"cna": ["CWE-119"]}, "An out of bounds read.", usage="allowed-only") == ("CWE-125", "cna")

    def test_no_guess(self, catalogue: CweCatalogue) -> None:
        vague = "A memory problem in the parser of Frobnicator."
        assert chosen(catalogue, {"cna": ["CWE-119"]}, vague, usage="allowed-only") == "no_single_replacement"
        assert chosen(catalogue, {"cna": ["CWE-119"]}, vague, usage="allowed-only", replace="first") == ("CWE-787", "cna")
        assert chosen(catalogue, {"cna": ["CWE-119"]}, usage="allowed-only", replace="never") == "usage_not_allowed"

    def test_a_replacement_that_stands_alone_is_taken(self, catalogue: CweCatalogue) -> None:
        assert catalogue.nearest_allowed("CWE-189") == ("CWE-681",)
        assert chosen(catalogue, {"cna": ["CWE-189"]}, usage="allowed-only") == ("CWE-681", "cna")


def test_the_view(catalogue: CweCatalogue) -> None:
    assert chosen(catalogue, {"cna": ["CWE-787"]}, view="CWE-1003") == ("CWE-787", "cna")
    assert not catalogue.in_view("CWE-121", 1003)
    assert chosen(catalogue, {"cna": ["CWE-121"]}, view="CWE-1003") == "not_in_view"


ENTRIES = st.lists(
    st.sampled_from(["CWE-79", "CWE-119", "CWE-787", "CWE-125", "CWE-16", "CWE-264", "CWE-20", "CWE-74"]), max_size=4
)


@given(
    st.dictionaries(st.sampled_from(["cna", "adp", "nvd"]), ENTRIES),
    st.sampled_from([WRITE, "SQL injection", "vague", "improper input validation of a quantity in input"]),
    st.sampled_from(["none", "agree", "required"]),
    st.sampled_from(["evidence", "first", "never"]),
)
def test_allowed_only_gives_nothing_else(labels: dict[Any, list[str]], text: str, consensus: str, replace: str) -> None:
    catalogue = load_catalogue(shipped_table())
    label = choose(catalogue, labels, text, consensus=consensus, usage="allowed-only", replace=replace)
    if isinstance(label, Label):
        assert catalogue.is_suggestable(label.cwe_id)
        assert label.assigned in labels[label.party]
        assert label.cwe_id == label.assigned or label.cwe_id in catalogue.nearest_allowed(label.assigned)
