from __future__ import annotations

import csv
import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctiforge.core.errors import InputError, RecipeError, SettingError
from ctiforge.triage import QueueFilter, TriageRules, TriageStore, history, load_rules, queue, rank, review, show, verify
from ctiforge.triage.ssvc import DecisionPoints, decide

A = "CVE-2099-10001"


@pytest.fixture
def filled(store: TriageStore, feed: Any, invented: SimpleNamespace) -> TriageStore:
    feed(
        store,
        invented.cve(10001, cna=("CWE-79",), adp=("CWE-89",), published="2099-01-01T00:00:00Z"),
        invented.cve(10002, invented.VAGUE, ssvc=("active", "yes", "total"), kev="2099-02-20", score=9.8),
        invented.cve(10003, invented.OVERFLOW, cna=("CWE-20",), ssvc=("none", "no", "partial"), score=5.0),
        invented.cve(10004, invented.OVERFLOW, cna=("CWE-787",)),
    )
    return store


def found(store: TriageStore, *, order: str = "priority", **wanted: Any) -> list[int]:
    return [int(item.id[-1]) for item in queue(store, QueueFilter(**wanted), order=order).items]


def test_filters(filled: TriageStore) -> None:
    assert sorted(found(filled)) == [1, 2, 3, 4]
    assert found(filled, conflict="parties") == [1]
    assert found(filled, conflict="model") == [3]
    assert sorted(found(filled, conflict="any")) == [1, 3]
    assert found(filled, discouraged=True) == [3]
    assert found(filled, abstained=True) == [2]
    assert found(filled, kev=True) == [2]
    assert found(filled, ssvc="track") == [3]
    assert found(filled, cwe_id="cwe 89") == [1]
    assert found(filled, text="LOGIN sql") == [1]
    assert found(filled, text="100%") == []
    assert 2 not in found(filled, min_probability=0.01)
    review(filled, A, "accept", reviewer="Ada")
    assert 1 not in found(filled)
    assert found(filled, states=("accepted",)) == [1]


def test_order_and_pages(filled: TriageStore) -> None:
    assert found(filled)[0] == 2
    assert found(filled, order="oldest")[0] == 1
    assert found(filled, order="due")[0] == 2
    assert found(filled, order="uncertain")[0] in (2, 1)
    first = queue(filled, limit=3)
    rest = queue(filled, limit=3, offset=3)
    assert (first.total, len(first.items), len(rest.items)) == (4, 3, 1)
    for bad in ({"states": ("done",)}, {"conflict": "us"}, {"cwe_id": "xss"}):
        with pytest.raises(SettingError):
            QueueFilter(**bad)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="no order"):
        queue(filled, order="random")


def test_the_formula_is_visible_and_adds_up(filled: TriageStore, clock: Any) -> None:
    clock.pass_days(15)
    view = show(filled, "CVE-2099-10002")
    points = {part.name: part.points for part in view.priority}
    assert points == {"kev": 40, "ssvc": 25, "epss": 0, "cvss": pytest.approx(9.8), "uncertainty": 5, "age": 2.5}
    assert view.item.priority == pytest.approx(sum(points.values()))
    (listed,) = queue(filled, QueueFilter(kev=True)).items
    assert listed.priority == pytest.approx(view.item.priority)
    assert "act: exploitation active, automatable yes, technical impact total, mission impact medium" in view.priority[1].why


def test_clocks(filled: TriageStore, clock: Any) -> None:
    assert show(filled, "CVE-2099-10002").item.due_at == "2099-03-03T09:30:00Z"
    assert show(filled, "CVE-2099-10003").item.due_at == "2099-05-30T09:30:00Z"
    assert found(filled, overdue=True) == []
    clock.pass_days(3)
    assert found(filled, overdue=True) == [2]
    assert show(filled, "CVE-2099-10002").item.overdue


def test_rules_are_kept_and_audited(filled: TriageStore) -> None:
    rules = TriageRules.model_validate({"weights": {"kev": 0, "cvss": 100}, "mission_impact": "high"})
    rank(filled, actor="lead", rules=rules)
    assert show(filled, "CVE-2099-10003").item.priority == pytest.approx(
        50 + (1 - show(filled, "CVE-2099-10003").item.probability) * 5
    )
    link = history(filled)[-1]
    assert (link.action, link.actor, link.details["after"]["weights"]["cvss"]) == ("rules", "lead", 100)
    rank(filled, actor="lead", rules=rules)
    assert len(history(filled)) == link.seq
    assert verify(filled).broken is None


def test_kev_and_epss_come_from_files(filled: TriageStore, tmp_path: Path, feed: Any, invented: SimpleNamespace) -> None:
    kev = tmp_path / "kev.csv"
    with kev.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["cveID", "vulnerabilityName", "dateAdded", "shortDescription"])
        writer.writerow([A, "invented", "2099-02-28", "x"])
    epss = tmp_path / "epss.csv.gz"
    epss.write_bytes(gzip.compress(f"#model_version:v9,score_date:2099-02-28\ncve,epss,percentile\n{A},0.5,0.9\n".encode()))
    report = rank(filled, actor="cron", kev=kev, epss=epss)
    assert (report.items, report.kev, report.epss) == (4, 1, 1)
    item = show(filled, A).item
    assert (item.kev_date, item.epss) == ("2099-02-28", 0.5)
    assert found(filled)[:2] == [2, 1]
    feed(filled, invented.cve(10001, invented.OVERFLOW, modified="2099-03-01T00:00:00Z"))
    assert (show(filled, A).item.kev_date, show(filled, A).item.epss) == ("2099-02-28", 0.5)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"cve,epss\nCVE-2099-1,2\n", b"cve,epss\nx,0.1\n", b"\xff"])
def test_a_bad_epss_file_changes_nothing(content: bytes, quick_store: TriageStore, tmp_path: Path) -> None:
    path = tmp_path / "epss.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"epss\.csv"):
        rank(quick_store, actor="cron", epss=path)
    assert history(quick_store) == []


def test_the_bundled_rules_are_the_defaults(tmp_path: Path) -> None:
    assert load_rules("default") == TriageRules()
    (tmp_path / "mine.yaml").write_text("weights: {kevv: 3}\nsla_days: {act: 0}\n")
    with pytest.raises(RecipeError, match=r"(?s)weights.kevv: unknown setting. did you mean 'kev'.*sla_days.act"):
        load_rules(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("points", "decisions"),
    [
        (("none", "no", "partial"), ("track", "track", "track")),
        (("poc", "yes", "total"), ("track", "track*", "attend")),
        (("active", "no", "total"), ("track", "attend", "act")),
        (("active", "", "total"), (None, None, None)),
    ],
)
def test_ssvc_decisions(points: tuple[str, str, str], decisions: tuple[str | None, ...]) -> None:
    assert tuple(decide(DecisionPoints(*points), impact) for impact in ("low", "medium", "high")) == decisions
