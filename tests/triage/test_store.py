from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text, update

from ctiforge.classify.prediction import EvidenceSpan, Move, Prediction, RareCandidate, SimilarCve, Suggestion
from ctiforge.core.advisory import Advisory, AssignedWeakness, CvssScore, SourceRef, Ssvc
from ctiforge.triage import StoreError, TriageStore, history, migrations, open_store
from ctiforge.triage.record_json import (
    advisory_digest,
    advisory_from_json,
    advisory_json,
    prediction_from_json,
    prediction_json,
)
from ctiforge.triage.schema import chain_head, metadata, queue_index

ADVISORY = Advisory(
    id="CVE-2099-1",
    source=SourceRef("a.json", 3, "cve5", "b"),
    description="text",
    aliases=("X",),
    weaknesses=(AssignedWeakness("cna", "CWE-79", "words", "someone"),),
    cvss=(CvssScore("adp", "3.1", "CVSS:3.1/AV:N", 9.8),),
    ssvc=Ssvc((("Exploitation", "poc"),), "role", "then"),
    languages=("en",),
    notes=("mended",),
)
PREDICTION = Prediction(
    id="CVE-2099-1",
    text="text",
    abstained=False,
    reason=None,
    suggestions=(
        Suggestion("CWE-79", "n", 0.123456789, "Allowed", (EvidenceSpan(0, 4, "text", 1.0),), (), Move("CWE-20", "why")),
    ),
    discouraged=(Suggestion("CWE-20", "m", 0.2, "Discouraged", (), ("CWE-79",)),),
    model="m",
    model_digest="d",
    cwe_version="4.14",
    policy="mitre",
    advisory=ADVISORY,
    chain=("CWE-190", "CWE-787"),
    similar=(SimilarCve("CVE-2098-1", 0.5, (("nvd", "CWE-79"),)),),
    rare_candidates=(RareCandidate("CWE-1", "r", 0.1, "Allowed"),),
)


def test_values_come_back_as_they_were() -> None:
    assert advisory_from_json(advisory_json(ADVISORY)) == ADVISORY
    assert prediction_from_json(prediction_json(PREDICTION), ADVISORY) == PREDICTION


def test_a_lone_surrogate_does_not_stop_an_import() -> None:
    broken = Advisory("CVE-2099-1", SourceRef("a"), "a \ud800 b", weaknesses=ADVISORY.weaknesses)
    assert advisory_from_json(advisory_json(broken)).description == "a \ufffd b"
    assert len(advisory_digest(broken)) == 64


def test_opening_twice_is_opening_once(database: str) -> None:
    with open_store(database) as first, open_store(database) as second:
        assert history(first) == history(second) == []


def test_a_new_database_and_an_upgraded_one_are_alike(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE settings ADD COLUMN note TEXT"))

    with open_store(database):
        pass
    monkeypatch.setattr(migrations, "UPGRADES", (*migrations.UPGRADES, upgrade))
    for _ in range(2):
        with open_store(database) as store, store.reading() as connection:
            assert "note" in [column["name"] for column in inspect(connection).get_columns("settings")]
            assert connection.execute(chain_head.select()).one().schema_version == 1 + len(migrations.UPGRADES)


def test_a_store_of_version_1_gets_the_index_of_the_queue(database: str) -> None:
    def indexes(store: TriageStore) -> list[tuple[str | None, list[str | None]]]:
        with store.reading() as connection:
            return sorted((each["name"], each["column_names"]) for each in inspect(connection).get_indexes("items"))

    with open_store(database) as store:
        fresh = indexes(store)
        if store.engine.dialect.name == "sqlite":
            with store.writing() as transaction:
                queue_index.drop(transaction.connection)
                transaction.connection.exec_driver_sql("CREATE INDEX items_by_priority ON items (state, base_priority)")
        with store.writing() as transaction:
            transaction.connection.execute(update(chain_head).values(schema_version=1))
    with open_store(database) as store:
        assert indexes(store) == fresh
        assert fresh


def test_the_tables_are_those_of_the_schema(store: TriageStore) -> None:
    with store.reading() as connection:
        seen = inspect(connection)
        assert {name: {column["name"] for column in seen.get_columns(name)} for name in seen.get_table_names()} == {
            table.name: {column.name for column in table.columns} for table in metadata.sorted_tables
        }


def test_a_database_of_a_newer_program_is_refused(database: str) -> None:
    with open_store(database) as store, store.writing() as transaction:
        transaction.connection.execute(update(chain_head).values(schema_version=99))
    with pytest.raises(StoreError, match="version 99"):
        open_store(database)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("mysql://x/y", "no database that ctiforge can use"),
        ("postgresql://nobody@/x?host=/nowhere", "nowhere"),
        ("{tmp}", "file"),
    ],
)
def test_what_cannot_be_opened_says_why(where: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=says) as told:
        open_store(where.format(tmp=tmp_path))
    assert told.value.fix


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and by no means a database\n" * 50)
    with pytest.raises(StoreError, match="not a database"):
        open_store(path)
    assert path.read_text().startswith("these are my notes")


def test_a_transaction_that_fails_leaves_nothing(store: TriageStore) -> None:
    def fail_half_way() -> None:
        with store.writing() as transaction:
            transaction.link("test", "Ada")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert history(store) == []
