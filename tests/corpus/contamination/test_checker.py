from __future__ import annotations

import random
import re
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ctiforge.core.errors import SettingError
from ctiforge.corpus.contamination import Benchmarks, ContaminationChecker, ContaminationSettings, load_benchmarks, normalize
from ctiforge.corpus.contamination.settings import parse_levels, stricter_or_same

INVENTED: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("invented_benchmark.py")))


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Benchmarks:
    folder = tmp_path_factory.mktemp("benchmark")
    INVENTED["write_benchmark"](folder)
    return load_benchmarks([folder])


@pytest.fixture(scope="module")
def checker(benchmarks: Benchmarks) -> ContaminationChecker:
    return ContaminationChecker(benchmarks, background=INVENTED["descriptions"](300, 3))


def rcm_texts(benchmarks: Benchmarks) -> list[str]:
    return [item.text for item in benchmarks.items if item.file == "own-rcm.tsv"]


def reordered(text: str) -> str:
    return " ".join(reversed(re.split(r"(?<=\.)\s+", text)))


def tenth_dropped(text: str) -> str:
    chance = random.Random(text)
    return " ".join(word for word in text.split() if chance.random() >= 0.1)


@pytest.mark.parametrize(("edit", "level"), [
    (str, "exact_text"), (str.upper, "exact_text"), (lambda text: text.replace(".", " !"), "exact_text"),
    (reordered, "near_duplicate"), (tenth_dropped, "near_duplicate"),
])  # fmt: skip
def test_an_edited_item_is_found(
    benchmarks: Benchmarks, checker: ContaminationChecker, edit: Callable[[str], str], level: str
) -> None:
    texts = rcm_texts(benchmarks)
    found = 0
    for place, text in enumerate(texts):
        hits = [hit for hit in checker.check(edit(text), kind="rcm") if hit.item_id == f"own-rcm/{place:04d}"]
        found += bool(hits)
        if level == "exact_text":
            assert [hit.level for hit in hits] == [level]
            assert hits[0].item_text == text
    assert found >= 0.95 * len(texts)


def test_texts_of_the_same_kind_are_not_called_copies(checker: ContaminationChecker) -> None:
    others = INVENTED["descriptions"](300, 4)
    levels = [{hit.level for hit in checker.check(text)} for text in others]
    assert not any(each & {"exact_text", "near_duplicate"} for each in levels)
    # All are made of a few dozen words, so some share rare ones by chance.
    assert sum("ngram" in each for each in levels) <= 30


def test_near_duplicates_are_those_of_brute_force(benchmarks: Benchmarks) -> None:
    checker = ContaminationChecker(benchmarks, ContaminationSettings(near_duplicate=0.6))
    chance = random.Random(2)
    texts = rcm_texts(benchmarks)
    for text in chance.sample(texts, 20) + INVENTED["descriptions"](20, 6):
        kept = " ".join(word for word in text.split() if chance.random() > 0.25)
        words = set(normalize(kept).split())
        expected = {
            f"own-rcm/{place:04d}"
            for place, other in enumerate(texts)
            if len(words & set(normalize(other).split())) / len(words | set(normalize(other).split())) >= 0.6
        }
        found = {hit.item_id for hit in checker.check(kept) if hit.level in ("exact_text", "near_duplicate")}
        assert found == expected


def test_identifiers_are_told_apart_by_where_they_stand(checker: ContaminationChecker) -> None:
    (own,) = checker.check("nothing in common at all", ["cve-2098-1003"])
    assert (own.level, own.item_id, own.detail) == ("exact_id", "own-rcm/0003", "own CVE-2098-1003")
    (named,) = checker.check("unlike СVE\u20112098\u20111003 this is new")  # a Cyrillic С, non-breaking hyphens
    assert (named.level, named.detail) == ("exact_id", "named CVE-2098-1003")
    assert [hit.detail for hit in checker.check("about CVE-2098-1003", (), "CVE-2098-1003")] == ["own CVE-2098-1003"]
    assert checker.check("about CVE-2098-999999", (), "CVE-2097-1003") == []


def test_source_objects_count_for_questions_only(checker: ContaminationChecker) -> None:
    (hit,) = checker.check("an unrelated text", (), "T9001.002")
    assert (hit.level, hit.file, hit.detail) == ("source_object", "own-mcq.tsv", "own T9001.002")
    assert checker.check("an unrelated text", (), "T9001.002", "rcm") == []
    assert [hit.level for hit in checker.check("What of T9001.002?", kind="qa")] == ["source_object"]


def test_questions_are_found_with_and_without_options(benchmarks: Benchmarks, checker: ContaminationChecker) -> None:
    item = benchmarks.items[4]
    lettered = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCD", reversed(item.options), strict=True))
    for text in (item.text, f"{item.text}\n{lettered}", f"{item.text}\nA) x\nB) y\nC) z"):
        assert ("exact_text", item.item_id) in {(hit.level, hit.item_id) for hit in checker.check(text)}
    other = {hit.level for hit in checker.check(f"What else?\n{lettered}") if hit.item_id == item.item_id}
    assert "options" in other
    assert "exact_text" not in other


def test_boilerplate_is_no_leak(tmp_path: Path) -> None:
    shape = "The {0} plugin is vulnerable to stored scripting in all versions up to {1} due to missing escaping on attributes."
    names = [f"{a}{b}" for a in ("Zor", "Vex", "Lum", "Tra", "Nid") for b in ("kop", "bel", "qua", "fis")]
    path = tmp_path / "own.tsv"
    path.write_text("Description\n" + "\n".join(shape.format(name, place) for place, name in enumerate(names)) + "\n")
    same_shape = [shape.format(f"Other{place}", 50 + place) for place in range(300)]
    checker = ContaminationChecker(load_benchmarks([path]), ContaminationSettings(near_duplicate=0.95), background=same_shape)
    assert [hit for text in same_shape for hit in checker.check(text) if hit.level == "ngram"] == []


def test_an_embedding_model_may_be_brought(benchmarks: Benchmarks) -> None:
    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.asarray([[float("module10007" in text or "paraphrase" in text), 0.001] for text in texts], np.float32)

    checker = ContaminationChecker(benchmarks, embed=embed)
    assert [(hit.level, hit.item_id) for hit in checker.check("a paraphrase")] == [("semantic", "own-rcm/0007")]


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(SettingError, match=r"near_duplicate = 1\.5"):
        ContaminationSettings(near_duplicate=1.5)
    with pytest.raises(SettingError, match="exact_txt") as caught:
        parse_levels(["exact_id,exact_txt"])
    assert "exact_text" in str(caught.value.fix)
    assert parse_levels(["ngram, exact-id"]) == ("exact_id", "ngram")
    assert len(parse_levels(["all"])) == 7
    assert stricter_or_same("ngram") == ("exact_text", "near_duplicate", "ngram")
    assert stricter_or_same("options") == ("options",)
