"""Looking up, following relations, searching with filters, over invented catalogues."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.ask import MAX_QUERY_CHARACTERS, RELATIONS, BuildInputs, KnowledgeBase
from ctiforge.ask.reading import read_inputs
from ctiforge.core.errors import CatalogueError, SettingError


def others(base: KnowledgeBase, object_id: str, relation: str) -> list[str]:
    return [each.other for each in base.neighbours(object_id, relation)]


def test_an_object_has_what_its_source_says(base: KnowledgeBase) -> None:
    technique = base["T9000.001"]
    assert (technique.kind, technique.name) == ("technique", "Boil Frobs 0: Small Paint Frobs 10")
    assert technique.tactics == ("Stage Boil",)
    assert technique.platforms == ("Kettles",)
    assert "(Citation" not in technique.text
    assert "https://" not in technique.text
    assert "spoon.exe" in technique.text
    assert (technique.created, technique.modified, technique.domains) == ("2031-02-03", "2032-03-04", ("enterprise",))
    assert technique.url == "https://attack.mitre.org/techniques/T9000/001"
    weakness = base["CWE-903"]
    assert dict(weakness.facts)["mapping usage"] == "Allowed"
    assert weakness.aliases == ("Lidlessness 3",)
    assert base["G9000"].aliases == ("Brass Spoon 0",)


@pytest.mark.parametrize(
    ("object_id", "relation", "expected"),
    [
        ("T9000", "mitigated-by", "M9000"),
        ("M9000", "mitigates", "T9000"),
        ("G9001", "uses", "T9001"),
        ("T9001", "used-by", "G9001"),
        ("T9000.001", "subtechnique-of", "T9000"),
        ("T9000", "detected-by", "DET9000"),
        ("DET9000", "has-analytic", "AN9000"),
        ("AN9000", "reads", "DC9000"),
        ("DC9000", "read-by", "AN9000"),
        ("CAPEC-9003", "exploits", "CWE-903"),
        ("CWE-903", "exploited-by", "CAPEC-9003"),
        ("CAPEC-9003", "same-as-technique", "T9003"),
        ("T9003", "same-as-pattern", "CAPEC-9003"),
        ("CAPEC-9003", "can-precede", "CAPEC-9004"),
        ("CWE-903", "observed-in", "CVE-2099-10003"),
        ("CVE-2099-10003", "example-of", "CWE-903"),
        ("CVE-2099-20001", "has-weakness", "CWE-903"),
        ("CWE-903", "weakness-of", "CVE-2099-20001"),
        ("C9000", "attributed-to", "G9000"),
        ("T9000", "in-tactic", "TA9000"),
    ],
)
def test_relations_are_seen_from_either_end(base: KnowledgeBase, object_id: str, relation: str, expected: str) -> None:
    assert expected in others(base, object_id, relation)
    assert object_id in others(base, expected, RELATIONS[relation])
    found = next(each for each in base.neighbours(object_id, relation) if each.other == expected)
    assert found.name == base[expected].name


def test_every_relation_has_its_other_end(base: KnowledgeBase) -> None:
    count = 0
    for each in base:
        for one in each.relations:
            assert one.other in base or one.other.startswith(("CAPEC-", "CWE-"))
            if one.other in base:
                assert each.id in others(base, one.other, RELATIONS[one.kind])
                count += 1
    assert count > 150


def test_two_sources_of_one_relation_are_told_once(base: KnowledgeBase) -> None:
    assert others(base, "CWE-903", "exploited-by") == ["CAPEC-9003"]


def test_relations_keep_what_the_source_says(base: KnowledgeBase) -> None:
    (uses,) = [each for each in base.neighbours("G9001", "uses") if each.other == "T9001"]
    assert uses.description == "Guild 1 has taken 4 spoons out of a locked drawer by night."
    (seen,) = [each for each in base.neighbours("T9001", "used-by") if each.other == "G9001"]
    assert seen.description == uses.description
    assert seen.source == "attack-enterprise"


def test_revoked_objects_lead_to_their_successors(base: KnowledgeBase) -> None:
    assert "T9090" not in base
    for old in ("T9090", "T9091"):
        assert base.resolve(old) == "T9003"
        assert base[old].id == "T9003"
        assert base.passages_of(old) == base.passages_of("T9003")
    assert "T9003" in others(base, "CAPEC-9010", "same-as-technique")
    assert "T9003" in others(base, "G9005", "uses")
    assert base.get("T9092") is None
    assert all("T9091" not in passage.object_ids for hit in base.search("T9091 frobs", 50) for passage in [hit.passage])


def test_objects_are_found_by_any_spelling_and_by_name(base: KnowledgeBase) -> None:
    assert base.resolve("cwe 903") == base.resolve("CWE-0903") == "CWE-903"
    assert base.resolve("t9000/001") == "T9000.001"
    assert base.resolve("brass spoon 0") == base.resolve("Guild 0") == "G9000"
    assert base.resolve("CWE-903 and more") is None
    assert base.named("Boil the Ledger") == ("CAPEC-9000",)
    assert base.resolve("no such thing") is None
    with pytest.raises(CatalogueError, match="has no object 'T9999'"):
        base["T9999"]
    with pytest.raises(SettingError, match="not a relation") as caught:
        base.neighbours("T9000", "mitigated")
    assert caught.value.fix is not None
    assert "mitigated-by" in caught.value.fix


def test_a_feed_knows_more_of_a_cve_than_an_observed_example(base: KnowledgeBase) -> None:
    fed, seen = base["CVE-2099-10004"], base["CVE-2099-10005"]
    assert (fed.source, fed.created) == ("cve", "2098-05-06")
    assert "marzipan" in fed.text
    assert (seen.source, seen.text) == ("cwe", "Pantry program of maker 5 lets guests count the plums through a hole.")
    assert base.passages_of("CVE-2099-10005") == ()


def test_passages_stand_with_their_objects(base: KnowledgeBase) -> None:
    count = 0
    for each in base:
        for passage in base.passages_of(each.id):
            count += 1
            assert passage.object_id == each.id
            assert passage.heading.startswith(each.id)
            assert passage.text
    assert count == base.manifest.counts["passages"]
    passage = base.passages_of("T9001")[0]
    assert base.passage(passage.id) == passage
    assert base.passage("T9001#description.99") is None
    procedure = next(each for each in base.passages_of("T9001") if each.kind == "procedure")
    assert procedure.related == ("G9001",)
    assert "G9001 Guild 1" in procedure.heading


def test_facts_are_written_from_the_graph(base: KnowledgeBase) -> None:
    text = "\n".join(each.text for each in base.passages_of("T9000") if each.kind == "facts")
    for part in (
        "Tactics: TA9000 Stage Boil",
        "Platforms: Kettles",
        "Mitigations: M9000 Lock Cupboard 0",
        "Sub-techniques: T9000.001",
    ):
        assert part in text
    assert "Data components to detect it: DC9000 Crumb Trail 0" in text


def test_words_and_identifiers_find(base: KnowledgeBase) -> None:
    assert base.search("who counts gherkins in the pickle jar")[0].passage.object_id == "CVE-2099-20001"
    assert base.search("T9004")[0].passage.object_id == "T9004"
    assert base.search("what is CWE-905?", 1)[0].passage.id == "CWE-905#description.0"
    assert base.search("ring the bell")[0].passage.object_id == "DOC:team/runbook.md"
    assert base.search("xylophone zeppelin") == []
    hits = base.search("lid of the jar", 5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(hits) == 5


def test_filters_hold(base: KnowledgeBase) -> None:
    def owners(**filters: object) -> set[str]:
        return {hit.passage.object_id for hit in base.search("spoons jar drawer lid", 500, **filters)}  # type: ignore[arg-type]

    everything = owners()
    assert owners(kinds=["weakness"]) == {each for each in everything if each.startswith("CWE-")}
    assert owners(kinds=["group", "software"]) == {each for each in everything if each[0] in "GS"}
    kettles = owners(platform="kettles")
    assert kettles
    assert all("Kettles" in base[each].platforms for each in kettles)
    boiled = owners(tactic="stage-boil")
    assert boiled == owners(tactic="TA9000") == owners(tactic="Stage Boil")
    assert {"T9000", "T9005"} <= boiled
    assert owners(tactic="stage-boil", kinds=["weakness"]) == set()


def test_a_cut_by_date_holds_for_both_ends_of_a_passage(base: KnowledgeBase) -> None:
    def found(before: str) -> list[str]:
        return [hit.passage.id for hit in base.search("jar lid pickle plums spoons", 500, before=before)]

    assert not any(each.startswith("T9") for each in found("2031-02-03"))
    assert any(each.startswith("T9") for each in found("2031-02-04"))
    # An observed example is as new as its CVE; the day of one of them is known from the feed.
    assert [each for each in found("2099-12-31") if "#example" in each] == ["CWE-904#example.0"]
    assert sum("#example" in each for each in found("2100-01-01")) == 12
    assert not any(each.startswith("CVE-2099-20001") for each in found("2099-02-03"))


def test_few_passages_of_one_object_where_asked(base: KnowledgeBase) -> None:
    hits = base.search("spoons drawer night", 30, per_object=1)
    owners = [hit.passage.object_id for hit in hits]
    assert len(owners) == len(set(owners)) > 5


@pytest.mark.parametrize(
    ("query", "said"),
    [("", "empty"), ("  \n", "empty"), ("?!", "no word"), ("a " * 50_000, "100,000 characters")],
)
def test_queries_that_are_none_are_refused(base: KnowledgeBase, query: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        base.search(query)
    assert caught.value.fix
    assert len(caught.value.message) < 200


def test_the_longest_query_is_answered(base: KnowledgeBase) -> None:
    assert base.search(("jar " * MAX_QUERY_CHARACTERS)[:MAX_QUERY_CHARACTERS], 3)


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"kinds": ["techniqe"]}, "technique"),
        ({"platform": "kettle"}, "kettles"),
        ({"tactic": "TA0001"}, "stage"),
        ({"before": "yesterday"}, "2024-03-31"),
        ({"top_k": 0}, "at least one"),
    ],
)
def test_filters_that_are_none_name_what_there_is(base: KnowledgeBase, filters: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError) as caught:
        base.search("jar", **filters)  # type: ignore[arg-type]
    assert said in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_searched_or_refused(base: KnowledgeBase, query: str) -> None:
    try:
        hits = base.search(query, 3)
    except SettingError:
        return
    assert len(hits) <= 3


def test_threads_share_a_knowledge_base(base: KnowledgeBase) -> None:
    expected = base.search("lid of the jar", 5)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(lambda _: base.search("lid of the jar", 5), range(40)))


def test_many_queries_are_answered_as_one_by_one(base: KnowledgeBase) -> None:
    queries = ["lid of the jar", "ring the bell", "xylophone"]
    assert base.search_many(queries, 4) == [base.search(query, 4) for query in queries]


def test_what_could_steer_a_terminal_does_not_get_in(inputs: BuildInputs, tmp_path: Path) -> None:
    from dataclasses import replace

    from ctiforge.ask import build_knowledge_base

    feed = tmp_path / "feed.csv"
    feed.write_text("id,description\nCVE-2099-1111,A jar \x1b[31mof\u202e pickles\n")
    build_knowledge_base(replace(inputs, cves=(feed,), attack=(), docs=None), tmp_path / "kb", embeddings=False)
    base = KnowledgeBase.load(tmp_path / "kb")
    assert base["CVE-2099-1111"].text == "A jar [31mof pickles"
    assert base.passages_of("CVE-2099-1111")[0].text == "A jar [31mof pickles"


def test_reading_resolves_weaknesses_of_feeds(inputs: BuildInputs) -> None:
    gathered = read_inputs(inputs).gathered
    links = {(link.start, link.end) for link in gathered.links if link.kind == "has-weakness"}
    assert links == {("CVE-2099-20001", "CWE-903"), ("CVE-2099-10004", "CWE-904")}
