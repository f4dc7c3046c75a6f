"""Typed relations from both ends, for any set of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.errors import SettingError
from ctiforge.sources.relations import RelationGraph, TypedRelation

INVERSES = {"likes": "liked-by", "peer-of": "peer-of"}
relations = st.lists(
    st.builds(TypedRelation, st.sampled_from("abcd"), st.sampled_from(sorted(INVERSES)), st.sampled_from("abcd"))
)


@given(relations)
def test_both_ends_agree(given_relations: list[TypedRelation]) -> None:
    graph = RelationGraph(given_relations, INVERSES)
    for relation in given_relations:
        assert relation.target in graph.neighbours(relation.source, relation.kind)
        assert relation.source in graph.neighbours(relation.target, INVERSES[relation.kind])
        assert graph.get(relation.target, INVERSES[relation.kind], relation.source) is not None
    assert len(graph) == len({(each.source, each.kind, each.target) for each in given_relations})
    for one in "abcd":
        for name in graph.names:
            found = graph.neighbours(one, name)
            assert len(found) == len(set(found))


def test_a_description_is_kept_over_none() -> None:
    graph = RelationGraph([TypedRelation("a", "likes", "b"), TypedRelation("a", "likes", "b", "much")], INVERSES)
    found = graph.get("b", "liked-by", "a")
    assert found is not None
    assert found.description == "much"
    assert [each.description for each in graph] == ["much"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SettingError, match=r"'like' is not a relation"):
        RelationGraph([], INVERSES).neighbours("a", "like")
    assert RelationGraph([], INVERSES).neighbours("zzz", "likes") == ()
