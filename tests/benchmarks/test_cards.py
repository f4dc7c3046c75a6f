from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

SHARE = {"value": 0.5, "n": 10, "ci95_low": 0.25, "ci95_high": 0.75}
PAIRED = {"n": 10, "difference": 0.05, "ci95_low": 0.01, "ci95_high": 0.09, "only_ours_right": 7, "only_theirs_right": 2,
          "mcnemar_p": 0.0123}  # fmt: skip
SELECTIVE = {"threshold": 0.3, "coverage": 0.6, "accuracy_of_answers": SHARE, "abstained": {}}
CURVE = [{"coverage": 0.25, "accuracy": 0.9}, {"coverage": 1.0, "accuracy": 0.5}]
BINS = [{"n": 3, "probability": 0.2, "right": 0.3}, {"n": 50, "probability": 0.8, "right": 0.7}]
MACHINE = {"processor": "Abacus", "cores": 2, "system": "Linux", "python": "3.99"}
RECIPE = {
    "min_examples": 3, "target_precision": 0.85,
    "split": {"development_from": "2099-04-01", "test_from": "2099-07-01",
              "windows": [{"party": "nvd", "since": "2098-01-01", "until": "2098-06-01"}]},
}  # fmt: skip


def split(n: int) -> dict[str, Any]:
    return {
        "n": n, "from": "2099-04-01", "until": "2099-07-01", "any": SHARE, "any_top3": SHARE, "first": SHARE,
        "policy_mitre": {"any": SHARE, "selective": SELECTIVE}, "calibration_error_15_bins": 0.0234, "reliability": BINS,
        "coverage_curve": CURVE, "by_party": {"cna": SHARE}, "by_year": {"2099": SHARE}, "labels_the_model_does_not_know": 4,
    }  # fmt: skip


def results() -> dict[str, Any]:
    feed = {"records": 6000, "records_per_second": 432, "data": "feed.xz", "first_records_only": 6000,
            "peak_rss_mb_all_processes": 555, "machine": MACHINE}  # fmt: skip
    theirs = {
        "per_second": 8.4,
        "n": 128,
        "parameters": 124_000_000,
        "precision": "fp32",
        "threads": 2,
        "tokenizer": "WordPiece",
    }
    found = {
        "cti_rcm": {
            "n": 1000, "data_sha256": "ab" * 32, "model_digest": "cd" * 32, "git_revision": "ef" * 20,
            "top1": SHARE, "top3": SHARE, "top5": SHARE,
            "hierarchy_top1": SHARE, "majority_baseline": 0.229, "calibration_error_15_bins": 0.031,
            "macro_f1": {"value": 0.4, "labels": 104}, "macro_f1_labels_with_5_items": {"value": 0.61, "labels": 33},
            "allowed_only": {"all_items": SHARE, "top3": SHARE, "top5": SHARE, "items_with_suggestable_gold": SHARE,
                             "best_possible": 0.928, "calibration_error_15_bins": 0.05, "selective": SELECTIVE},
            "selective": SELECTIVE, "coverage_curve": CURVE, "reliability": BINS, "by_year": {"2024": SHARE},
            "by_cna": {"example": SHARE, "not in the feed": SHARE}, "cna_feed": "feed.xz",
            "labels_with_10_items": {"CWE-79": {"n": 20, "right": 19, "instead": []},
                                     "CWE-120": {"n": 12, "right": 3, "instead": [["CWE-787", 6]]}},
            "commonest_confusions": [{"gold": "CWE-121", "answer": "CWE-787", "times": 6}],
            "golds_the_model_does_not_know": 0,
            "held_out": [{"part": "tiny", "kind": "encoder", "digest": "0" * 64, "files": [], "near_duplicate_jaccard": 0.8,
                          "shared_8_grams_above": 0.5, "left_out": {}}],
        },
        "dated": {"trained_before": "2099-04-01", "development": split(30),
                  "forward": split(40) | {"paired": PAIRED | {"against": "fast", "against_digest": "1" * 64}}},
        "feed": feed,
        "cold_start": {"median_s": 0.91, "max_s": 1.2, "runs": 7},
        "install": {"site_packages_mb": 190.0},
        "side_by_side": {"ours": {"per_second": 400.0, "n": 4000, "model": "accurate"}, "ratio": 47.6,
                         "transformers_roberta_base_size": theirs},
        "int8": {"export": {"int8": {"texts": 30, "top1_int8": 0.7654, "top1_fp32": 0.7665, "same_first": 0.98}},
                 "cti_rcm": {who: {"int8_top1": SHARE, "fp32_top1": SHARE, "int8_against_fp32": PAIRED}
                             for who in ("blend", "encoder_alone")}},
        "energy": {"cpu_seconds_per_1000_records": 4.5, "watts_per_core": 4.4, "assumed": "so much",
                   "watt_hours_per_1000_records": 0.0055},
    }  # fmt: skip
    return copy.deepcopy(found)


def part(name: str, **more: Any) -> dict[str, Any]:
    examples = {"train": 82_000, "development": 30, "later": 40, "windows": [20], "by_party": {"cna": 100},
                "by_label": {"CWE-79": 500, "CWE-41": 4}}  # fmt: skip
    data = [{"path": "cve/a.xz", "licence": "CC0-1.0", "sha256": "a" * 64, "use": "train"},
            {"path": "bench.tsv", "sha256": "b" * 64, "use": "left out of training"}]  # fmt: skip
    return {"name": name, "recipe": RECIPE, "examples": examples, "data": data,
            "left_out": {"benchmark_exact_id": 1451, "something_new": 3}} | more  # fmt: skip


@pytest.fixture
def blend() -> Any:
    from card_sections import CardSubject, PartFile

    manifest = {
        "description": "A blend.", "format": "ctiforge-blend/1", "labels": ["CWE-79"] * 451, "cwe_version": "4.14",
        "licence": "Apache-2.0",
        "ctiforge": "0.1.0", "git_revision": None, "sure": 0.97, "weights": {"encoder": 0.61, "linear": 0.52}, "recipe": RECIPE,
        "threshold": {"mitre": 0.3, "nvd": 0.4},
        "development": {"left_to_the_linear_model": 0.4, "top1": 0.77, "top3": 0.88, "macro_f1": 0.5,
                        "parts_alone": {"encoder": {"top1": 0.76, "top3": 0.87, "macro_f1": 0.49}}},
    }  # fmt: skip
    encoder = part(
        "accurate", max_length=128,
        base_model={"name": "minilm", "licence": "Apache-2.0", "digest": "2" * 64, "vocabulary": 13_192},
        fit={"steps": 3778, "device": "cpu", "precision": "bf16"}, recipe=RECIPE | {"name": "accurate", "base_model": "minilm"},
    )  # fmt: skip
    linear = part(
        "fast",
        teachers=[
            {"name": f"blend-{each}", "digest": digit * 64} for each, digit in (("accurate", "3"), ("student-longer", "7"))
        ],
    )
    linear["examples"]["taught"] = 91_234
    linear["recipe"] = RECIPE | {"hidden": {"units": 128}}
    files = [PartFile("manifest.json", 20_000, "4" * 64), PartFile("encoder/model.int8.onnx", 17_000_000, "5" * 64)]
    return CardSubject("accurate", manifest, {"encoder": encoder, "linear": linear}, files, results())


@pytest.fixture
def card(blend: Any) -> str:
    return render(blend)


def render(subject: Any) -> str:
    from card_sections import render_card

    from ctiforge.sources.cwe import load_catalogue, shipped_table

    return render_card(subject, {"accurate-calibration.svg": "A caption, in full."}, load_catalogue(shipped_table()))


@pytest.mark.parametrize(
    "said",
    [
        "0.500 (0.250-0.750)",  # shares with their intervals
        "p = 0.0123",
        "CWE-120 Buffer Copy without Checking Size of Input ('Classic Buffer Overflow') | 3 of 12 | CWE-787 (6)",
        "| 6 | more general |",  # CWE-787 is above CWE-121
        "taught the encoder (`000000000000`)",
        "added with weights 0.52 and 0.61. The encoder is",
        "`blend-accurate` (`333333333333`) and `blend-student-longer` (`777777777777`), blends of an encoder",
        "Jaccard index of 0.8 or more",
        "more than 50 % stand in one benchmark text",
        "something new | 3 | 3",  # a reason that the script does not know
        "91,234 descriptions that nobody had labelled",
        "below 0.97, an encoder reads",
        "17.0 MB in 2 files, and the files of `fast`",
        "**an estimate**, no meter was at hand",
        "48 times as fast",
        "cti-rcm, CNA not known",
        "![A caption](accurate-calibration.svg)\n\nA caption, in full.",
        "ctiforge train blend",
    ],
)
def test_a_card_says_it(card: str, said: str) -> None:
    assert said in card


def test_every_table_of_a_card_is_whole(card: str) -> None:
    blocks = [block.splitlines() for block in card.split("\n\n") if block.startswith("|")]
    assert len(blocks) > 8
    for lines in blocks:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1, lines[0]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("cti_rcm", "macro_f1_labels_with_5_items", "value"), 0.987, "0.987"),
        (("dated", "forward", "calibration_error_15_bins"), 0.876, "0.876"),
        (("feed", "records_per_second"), 98_765, "98,765"),
        (("cold_start", "median_s"), 76.54, "76.54 s"),
        (("int8", "export", "int8", "top1_int8"), 0.6543, "0.6543"),
    ],
)
def test_numbers_come_from_the_results(blend: Any, card: str, path: tuple[str, ...], value: float, said: str) -> None:
    changed = copy.deepcopy(blend.results)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert said not in card
    assert said in render(type(blend)(blend.name, blend.manifest, blend.parts, blend.files, changed))


def test_what_was_not_measured_is_not_claimed(blend: Any) -> None:
    for name in ("side_by_side", "int8", "energy"):
        del blend.results[name]
    text = render(blend)
    assert "Energy: not measured." in text
    assert "RoBERTa" not in text
    assert "fp32" not in text


def test_a_row_of_another_length_is_a_mistake() -> None:
    from card_tables import table

    assert table(["a", "b"], [["1|2", "3"]]).splitlines()[-1] == "| 1\\|2 | 3 |"
    with pytest.raises(ValueError, match="does not fit"):
        table(["a", "b"], [["1"]])


def test_pictures_carry_the_mark_of_their_numbers_and_are_the_same_each_time() -> None:
    pytest.importorskip("matplotlib")
    from draw_cards import draw_calibration, draw_coverage

    for draw in (draw_calibration, draw_coverage):
        (picture, caption), (again, _) = draw(results()), draw(results())
        assert picture == again
        assert picture.startswith("<?xml")
        assert caption
        changed = results()
        for curve in (changed["cti_rcm"]["coverage_curve"], changed["cti_rcm"]["reliability"]):
            curve[0] = curve[0] | {"accuracy": 0.7, "right": 0.6}
        assert draw(changed)[0].splitlines()[-1] != picture.splitlines()[-1]
        assert "/" not in picture.splitlines()[-1].removesuffix("-->")


def test_the_readme_has_a_column_for_each_model(repository: Path) -> None:
    from render_readme import render_numbers

    one = results() | {"install": {"site_packages_mb": 118.0}}
    one["cti_rcm"] |= {"model": "fast", "cwe_version": "4.14"}
    one["dated"] |= {"model": "fast"}
    one["feed"] |= {"answered": 5000, "abstained": 990, "rejected": 10}
    two = copy.deepcopy(one)
    two["dated"]["model"] = "accurate"
    del one["side_by_side"], one["dated"]["forward"]["paired"]
    alone, both = render_numbers({"fast": one}), render_numbers({"fast": one, "accurate": two})
    assert "| measure | `fast` |\n|---|---|" in alone
    assert "McNemar" not in alone
    assert "| measure | `fast` | `accurate` |\n|---|---|---|" in both
    assert "`accurate` is right where `fast` is not 7 times" in both
    assert "48 times" in both


def test_the_commands_lead_to_an_encoder_through_those_that_it_goes_on_from(blend: Any) -> None:
    from ctiforge.train.encoder_recipe import load_encoder_recipe

    recipe = load_encoder_recipe("encoder-student-longer").model_dump(mode="json")
    blend.parts["encoder"] |= {"recipe": recipe}
    blend.parts["encoder"]["data"].append({"path": "teacher.npz", "use": "soft targets of a teacher", "sha256": "6" * 64})
    said = render(blend)
    assert "The encoder is `minilm` by way of `taught`, `student` (Apache-2.0" in said
    assert "| descriptions labelled by a teacher | all without a label since 2014-01-01 | 91,234 |" in said
    assert "| teacher.npz | made from the files above | soft targets of a teacher |" in said
    assert "Neighbouring states become one before the first layer and after layer 1" in said
    commands = [line for line in said.splitlines() if line.startswith(("$ ctiforge train", "$ make"))]
    assert [words.split(" --data")[0] for words in commands] == [
        "$ ctiforge train encoder --recipe encoder-accurate",
        "$ ctiforge train classifier --recipe classifier-fast",
        "$ ctiforge train teacher --recipe encoder-teacher-minilm --beside runs/fast-first",
        "$ ctiforge train encoder --recipe encoder-taught --teacher runs/teacher/teacher.npz",
        "$ ctiforge train encoder --recipe encoder-student --teacher runs/teacher/teacher.npz",
        "$ ctiforge train encoder --recipe encoder-student-longer --teacher runs/teacher/teacher.npz",
        "$ ctiforge train blend --encoder runs/accurate --linear runs/fast-first --name blend-accurate",
        "$ ctiforge train blend --encoder runs/student-longer --linear runs/fast-first --name blend-student-longer",
        "$ ctiforge train classifier --recipe classifier-fast",
        "$ ctiforge train blend --encoder runs/student-longer --linear runs/fast",
        "$ make bench DATA=DIR BENCH_ARGS='--encoder runs/student-longer'",
    ]


def test_an_encoder_that_blends_taught_comes_after_them(blend: Any) -> None:
    from ctiforge.train.encoder_recipe import load_encoder_recipe

    blend.parts["encoder"] |= {"recipe": load_encoder_recipe("encoder-student-again").model_dump(mode="json")}
    said = render(blend)
    assert "The encoder is `minilm` by way of `taught`, `student`, `student-longer` (Apache-2.0" in said
    commands = [line.split(" --data")[0] for line in said.splitlines() if line.startswith("$ ctiforge train")]
    assert commands[-5:] == [
        "$ ctiforge train blend --encoder runs/student-longer --linear runs/fast-first --name blend-student-longer",
        "$ ctiforge train classifier --recipe classifier-fast",
        "$ ctiforge train teacher --model runs/blend-accurate --model runs/blend-student-longer --recipe classifier-fast",
        "$ ctiforge train encoder --recipe encoder-student-again --teacher runs/said/teacher.npz",
        "$ ctiforge train blend --encoder runs/student-again --linear runs/fast",
    ]


def test_a_second_encoder(blend: Any) -> None:
    from card_sections import SECOND

    first = blend.parts["encoder"]
    blend.parts[SECOND] = first | {"name": "accurate-second", "recipe": first["recipe"] | {"name": "accurate-second"}}
    weights = {"encoder": 0.41, "second": 0.32, "linear": 0.23}
    blend.manifest["second"] = {"unsure": {"mitre": 0.35, "nvd": 0.6}, "weights": weights}
    blend.manifest["development"]["read_by_the_second_encoder"] = 0.17
    blend.manifest["development"]["parts_alone"]["second"] = {"top1": 0.75, "top3": 0.86, "macro_f1": 0.48}
    blend.results["cti_rcm"]["held_out"].append(
        blend.results["cti_rcm"]["held_out"][0] | {"kind": "second-encoder", "part": "accurate-second"}
    )
    said = render(blend)
    for part in (
        "below 0.35 (17 % of the development split), under policy nvd below 0.6, a second encoder reads the embeddings",
        "added with weights 0.23, 0.41 and 0.32",
        "files taught the second encoder (`",
        "The second encoder part learnt",
        "| second encoder | 0.7500 | 0.8600 | 0.4800 |",
        "ctiforge train encoder --recipe encoder-accurate-second",
        "ctiforge train blend --encoder runs/accurate --linear runs/fast --second runs/accurate-second --sure ",
        " --unsure 0.35 --unsure-nvd 0.6 --data",
    ):
        assert part in said


def test_a_gpu_s_energy_is_not_made_up(blend: Any) -> None:
    blend.results["energy"]["training_of_the_encoder"] = {"wall_hours": 0.07, "device": "cuda"}
    assert "The encoder's last fit took 4 minutes (cuda), which is no part of the estimate" in render(blend)
