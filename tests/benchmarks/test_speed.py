from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest


def test_the_first_records_of_a_feed_are_its_first_lines(tmp_path: Path) -> None:
    from speed import first_records

    feed = tmp_path / "feed.jsonl.xz"
    feed.write_bytes(lzma.compress(b"".join(json.dumps({"n": n}).encode() + b"\n" for n in range(9))))
    (tmp_path / "cut").mkdir()
    cut = first_records(feed, 4, tmp_path / "cut")
    assert cut.name == feed.name
    assert [json.loads(line)["n"] for line in lzma.decompress(cut.read_bytes()).splitlines()] == [0, 1, 2, 3]


def test_a_feed_is_run_by_the_command_and_every_record_is_counted(tmp_path: Path) -> None:
    from speed import measure_feed

    rows = [{"id": f"CVE-2099-{10000 + n}", "description": "SQL injection in the login form of Blorbmail."} for n in range(6)]
    feed = tmp_path / "feed.jsonl.xz"
    feed.write_bytes(lzma.compress(b"".join(json.dumps(row).encode() + b"\n" for row in [*rows, rows[0]])))
    found = measure_feed(feed, "fast", limit=7)
    assert (found["records"], found["rejected"]) == (7, 1)  # the repeated ID
    assert found["answered"] + found["abstained"] == 6
    assert found["first_records_only"] == 7
    assert found["cpu_seconds_all_processes"] > 0
    assert found["peak_rss_mb_all_processes"] > 10


def test_items_are_taken_at_equal_distances() -> None:
    from side_by_side import evenly

    assert evenly(range(10), 3) == [0, 3, 6]
    assert evenly(range(3), 10) == [0, 1, 2]
    assert len(set(evenly(range(1000), 128))) == 128


def test_energy_is_an_estimate_that_says_so(tmp_path: Path) -> None:
    from energy import WATTS_PER_CORE, estimate_energy

    assert "watt_hours_per_1000_records" not in estimate_energy(None, None)
    assert "watt_hours_per_1000_records" not in estimate_energy({"records": 10}, None)  # an old result without processor time
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "timing.json").write_text(json.dumps({"fit": 3600.0, "pretraining": 1800.0}))
    (tmp_path / "manifest.json").write_text(json.dumps({"fit": {"threads": 2, "device": "cpu"}}))
    found = estimate_energy({"records": 2000, "cpu_seconds_all_processes": 20.0}, tmp_path)
    assert found["measured"] is False
    assert found["assumed"]
    assert found["cpu_seconds_per_1000_records"] == 10.0
    assert found["watt_hours_per_1000_records"] == round(10 * WATTS_PER_CORE / 3600, 4)
    assert found["training_of_the_encoder"]["core_hours_at_most"] == 3.0
    assert found["training_of_the_encoder"]["watt_hours"] == round(3 * WATTS_PER_CORE, 1)
    (tmp_path / "manifest.json").write_text(json.dumps({"fit": {"threads": 2, "device": "cuda"}}))
    assert estimate_energy(None, tmp_path)["training_of_the_encoder"] == {"wall_hours": 1.5, "device": "cuda"}


def test_a_missing_model_is_told_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import classifier

    monkeypatch.setattr("sys.argv", ["classifier.py", "--data", str(tmp_path), "--model", "acurate", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="no model named 'acurate'"):
        classifier.main()
    assert list(tmp_path.iterdir()) == []


def test_a_part_goes_into_the_model_s_own_result_file_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import classifier

    (tmp_path / "classifier-fast.json").write_text('{"feed": {"records": 1000, "cpu_seconds_all_processes": 2.0}}')
    arguments = ["--data", str(tmp_path), "--model", "fast", "--only", "energy", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["classifier.py", *arguments])
    classifier.main()
    found = json.loads((tmp_path / "classifier-fast.json").read_text())
    assert found["feed"]["records"] == 1000
    assert found["energy"]["cpu_seconds_per_1000_records"] == 2.0
    assert found["energy"]["command"] == "benchmarks/classifier.py --data DIR --model fast --only energy"
    assert {"at", "git_revision", "machine", "part_took_s"} <= set(found["energy"])
    assert "int8" not in classifier.parts_of("fast")
    assert classifier.parts_of("accurate") == list(classifier.PARTS)
