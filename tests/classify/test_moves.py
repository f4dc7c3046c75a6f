from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctiforge.classify import Classifier
from ctiforge.classify.chains import ChainFinder
from ctiforge.classify.moves import PreferenceMoves, ViewMoves, find_view
from ctiforge.classify.outputs.record import prediction_record
from ctiforge.core.errors import SettingError
from ctiforge.sources.cwe import CweCatalogue, load_catalogue, shipped_table

LABELS = ["CWE-119", "CWE-787", "CWE-125", "CWE-79", "CWE-122"]
OFFERED = np.array([False, True, True, True, True])


@pytest.fixture(scope="module")
def catalogue() -> CweCatalogue:
    return load_catalogue(shipped_table())


class TestPreferences:
    def move(self, catalogue: CweCatalogue, *probabilities: float, best: int = 1, threshold: float = 0.5) -> str | None:
        found = PreferenceMoves(LABELS, OFFERED, catalogue).find(0, best, np.array(probabilities), threshold)
        return found.why if found else None

    def test_to_the_entry_that_the_text_points_to(self, catalogue: CweCatalogue) -> None:
        why = self.move(catalogue, 0.5, 0.2, 0.1, 0.3, 0.05)
        assert why is not None
        assert "MITRE discourages CWE-119 (Class)" in why

    def test_not_where_it_would_be_a_guess(self, catalogue: CweCatalogue) -> None:
        assert self.move(catalogue, 0.5, 0.1, 0.09, 0.0, 0.05) is None  # less than half of what CWE-787 and its like have
        assert self.move(catalogue, 0.5, 0.04, 0.0, 0.0, 0.0) is None  # hardly likely at all
        assert self.move(catalogue, 0.2, 0.2, 0.0, 0.0, 0.0) is None  # both together do not reach the threshold
        assert self.move(catalogue, 0.5, 0.1, 0.0, 0.4, 0.0, best=3) is None  # another weakness altogether


class TestViews:
    def test_entries_outside_move_to_their_nearest_ancestor_inside(self, catalogue: CweCatalogue) -> None:
        view = find_view("1003", catalogue)
        moves = ViewMoves(LABELS, OFFERED, view, catalogue)
        assert moves.members.tolist() == [catalogue.in_view(label, 1003) for label in LABELS]
        assert not moves.members[4]
        given = np.array([[0.1, 0.3, 0.0, 0.0, 0.4]])
        (combined,) = moves.combine(given)
        assert combined[1] == pytest.approx(1 - 0.7 * 0.6)
        assert combined[4] == 0
        assert (moves.source(1, given[0]), moves.source(2, given[0])) == (4, 2)
        moved = moves.move(4, 1)
        assert moved is not None
        assert moved.cwe_id == "CWE-122"
        assert moves.move(1, 1) is None

    @pytest.mark.parametrize("text", ["1004", "CWE-79", "nvd", ""])
    def test_no_such_view(self, text: str, catalogue: CweCatalogue) -> None:
        with pytest.raises(SettingError, match="no view"):
            find_view(text, catalogue)


class TestChains:
    def test_root_cause_first_whatever_is_likelier(self, catalogue: CweCatalogue) -> None:
        finder = ChainFinder(catalogue)
        assert finder.find(["CWE-122", "CWE-190"]) == ("CWE-190", "CWE-122")
        assert finder.find(["CWE-190", "CWE-787"]) == ("CWE-190", "CWE-787")
        assert finder.find(["CWE-79", "CWE-416", "CWE-362"]) in ((), ("CWE-362", "CWE-416"))

    def test_kinds_of_each_other_are_no_chain(self, catalogue: CweCatalogue) -> None:
        assert ChainFinder(catalogue).find(["CWE-787", "CWE-122", "CWE-119"]) == ()
        assert ChainFinder(catalogue).find(["CWE-79", "CWE-89"]) == ()
        assert ChainFinder(catalogue).find(["CWE-79"]) == ()


class TestClassifier:
    def test_a_discouraged_entry_gives_way_to_one_below_it(self, tiny_model: Path, catalogue: CweCatalogue) -> None:
        (answer,) = Classifier(tiny_model, catalogue=catalogue, threshold=0.6).classify(["memory buffer overflow in the login"])
        best = answer.suggestions[0]
        assert (best.cwe_id, best.moved_from and best.moved_from.cwe_id) == ("CWE-787", "CWE-119")
        assert prediction_record(answer, top_k=5)["suggestions"][0]["moved_from"]["cwe_id"] == "CWE-119"
        assert answer.discouraged[0].cwe_id == "CWE-119"

    def test_a_view_holds_suggestions_to_its_members(self, tiny_model: Path, catalogue: CweCatalogue) -> None:
        classifier = Classifier(tiny_model, catalogue=catalogue, threshold=0, view=1003, policy="nvd")
        (answer,) = classifier.classify(["SQL injection in the login"])
        assert answer.view == "CWE-1003"
        assert all(catalogue.in_view(each.cwe_id, 1003) for each in answer.suggestions)
        assert answer.suggestions[0].cwe_id == "CWE-89"
        assert prediction_record(answer, top_k=5)["view"] == "CWE-1003"
