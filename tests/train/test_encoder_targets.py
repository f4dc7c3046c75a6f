from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.errors import InputError
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.encoder_recipe import ExampleWeights, RecentExamples, SoftTargets
from ctiforge.train.encoder_targets import (
    build_targets,
    class_weights,
    example_weights,
    learnt_labels,
    load_teacher,
    log_prior,
    relatives_matrix,
    soften,
)
from ctiforge.train.examples import Example

LABELS = ["CWE-79", "CWE-89", "CWE-787"]


def example(cve_id: str = "CVE-2099-1", day: date = date(2099, 1, 1), **by_party: tuple[str, ...]) -> Example:
    first = next(iter(by_party))
    return Example(cve_id, "text", by_party[first], first, day, True, (), by_party)  # type: ignore[arg-type]


class TestLearntLabels:
    def test_each_party_has_a_vote_and_splits_it(self, catalogue: CweCatalogue) -> None:
        found = learnt_labels(example(cna=("CWE-79",), nvd=("CWE-79", "CWE-89")), catalogue, {})
        assert found == {"CWE-79": 0.75, "CWE-89": 0.25}

    def test_a_party_weighs_what_the_recipe_says(self, catalogue: CweCatalogue) -> None:
        both = example(cna=("CWE-79",), nvd=("CWE-89",))
        assert learnt_labels(both, catalogue, {"nvd": 3.0}) == {"CWE-79": 0.25, "CWE-89": 0.75}
        assert learnt_labels(both, catalogue, {"nvd": 0.0}) == {"CWE-79": 1.0}
        assert learnt_labels(example(nvd=("CWE-89",)), catalogue, {"nvd": 0.0}) == {}

    def test_ancestors_of_others_are_not_learnt(self, catalogue: CweCatalogue) -> None:
        assert learnt_labels(example(cna=("CWE-74", "CWE-79")), catalogue, {}) == {"CWE-79": 1.0}


class TestBuildTargets:
    def test_rows_add_up_over_the_known_labels(self, catalogue: CweCatalogue) -> None:
        examples = [example(cna=("CWE-79", "CWE-352")), example(cna=("CWE-352",))]
        targets = build_targets(examples, LABELS, catalogue, ExampleWeights())
        assert targets.tolist() == [[1, 0, 0], [0, 0, 0]]

    def test_a_teacher_is_mixed_in_where_it_knows_the_cve(self, catalogue: CweCatalogue, tmp_path: Path) -> None:
        file = tmp_path / "teacher.npz"
        probabilities = np.array([[0.6, 0.2, 0.2], [0.0, 0.0, 1.0]])
        np.savez(file, cve_ids=["CVE-2099-1", "CVE-2099-3"], labels=["CWE-89", "CWE-79", "CWE-20"], probabilities=probabilities)
        teacher = load_teacher(file, LABELS)
        examples = [example("CVE-2099-1", cna=("CWE-79",)), example("CVE-2099-2", cna=("CWE-79",))]
        targets = build_targets(examples, LABELS, catalogue, ExampleWeights(), teacher, 0.5)
        assert targets[0] == pytest.approx([0.5 + 0.5 * 0.25, 0.5 * 0.75, 0])
        assert targets[1] == pytest.approx([1, 0, 0])
        assert "CVE-2099-3" not in teacher.row  # all of its mass is on a label that is not learnt

    @pytest.mark.parametrize(
        "arrays",
        [
            {"cve_ids": ["CVE-2099-1"], "labels": LABELS},
            {"cve_ids": ["CVE-2099-1"], "labels": LABELS, "probabilities": np.ones((2, 3))},
            {"cve_ids": ["CVE-2099-1"], "labels": ["CWE-20"], "probabilities": np.ones((1, 1))},
            {"cve_ids": ["CVE-2099-1"], "labels": ["CWE-79"], "probabilities": np.array([[np.nan]])},
            {"cve_ids": ["CVE-2099-1"], "labels": ["CWE-79"], "probabilities": np.array([[-1.0]])},
        ],
    )
    def test_a_wrong_teacher_is_refused(self, arrays: dict[str, object], tmp_path: Path) -> None:
        np.savez(tmp_path / "teacher.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"teacher\.npz"):
            load_teacher(tmp_path / "teacher.npz", LABELS)

    def test_a_file_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "teacher.npz").write_bytes(b"no archive")
        for name in ("teacher.npz", "missing.npz"):
            with pytest.raises(InputError, match="cannot read the teacher"):
                load_teacher(tmp_path / name, LABELS)


class TestSoften:
    def test_relatives_share_what_is_spread(self, catalogue: CweCatalogue) -> None:
        labels = ["CWE-74", "CWE-79", "CWE-80", "CWE-787"]
        both = relatives_matrix(labels, catalogue, "both")
        assert both.sum(axis=1) == pytest.approx(np.ones(4))
        assert both[1].tolist() == [1, 0, 0, 0]  # the parent of CWE-79; none of its siblings is learnt
        assert both[2].tolist() == [0, 1, 0, 0]
        assert both[3].tolist() == [0, 0, 0, 1]  # without relatives, it keeps its share
        siblings = relatives_matrix(["CWE-79", "CWE-89"], catalogue, "siblings")
        assert siblings.tolist() == [[1, 0], [0, 1]]
        cousins = relatives_matrix(["CWE-787", "CWE-125"], catalogue, "siblings")
        assert cousins.tolist() == [[0, 1], [1, 0]]

    @given(st.floats(0, 0.9), st.floats(0, 0.9))
    def test_rows_still_add_up_to_one(self, smoothing: float, hierarchy: float) -> None:
        targets = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0]], dtype=np.float32)
        relatives = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32)
        soft = soften(targets, SoftTargets(label_smoothing=smoothing, hierarchy_share=hierarchy), relatives)
        assert soft.sum(axis=1) == pytest.approx([1, 1, 0], abs=1e-5)
        assert (soft >= 0).all()

    def test_smoothing_and_hierarchy_in_figures(self) -> None:
        targets = np.array([[1, 0]], dtype=np.float32)
        relatives = np.array([[0, 1], [1, 0]], dtype=np.float32)
        settings = SoftTargets(label_smoothing=0.2, hierarchy_share=0.5)
        assert soften(targets, settings, None).tolist() == [[pytest.approx(0.9), pytest.approx(0.1)]]
        assert soften(targets, settings, relatives).tolist() == [[pytest.approx(0.5), pytest.approx(0.5)]]


def test_class_weights_and_prior() -> None:
    targets = np.zeros((100, 2), dtype=np.float32)
    targets[:80, 0] = 1
    targets[80:, 1] = 1
    weights = class_weights(targets, 0.5)
    assert weights[1] / weights[0] == pytest.approx(2)
    assert (weights * [80, 20]).sum() == pytest.approx(100, rel=1e-5)
    assert class_weights(targets, 0).tolist() == [1, 1]
    assert np.exp(log_prior(targets)) == pytest.approx([0.8, 0.2])


def test_recent_examples_weigh_more() -> None:
    settings = ExampleWeights(
        recent=[RecentExamples(since=date(2024, 1, 1), weight=3), RecentExamples(since=date(2020, 1, 1), weight=2)]
    )
    days = [date(2019, 12, 31), date(2020, 1, 1), date(2024, 1, 1)]
    assert example_weights(days, settings) == pytest.approx([0.5, 1, 1.5])
