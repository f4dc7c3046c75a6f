"""The table of entries that a model has no label for: made of real CWE texts, for a tiny model written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

pytest.importorskip("cwe2")

from ctiforge.core.errors import ModelError
from ctiforge.core.files import sha256
from ctiforge.models.linear import QuantizedWeights, load_linear_model, write_linear_model
from ctiforge.models.rare import DEFAULT_FLOOR, load_rare_table
from ctiforge.models.text_features import tokenize
from ctiforge.sources.cwe import load_catalogue, shipped_table
from ctiforge.sources.cwe_texts import load_cwe_texts
from ctiforge.train.rare import rare_weaknesses, run_train_rare, whole_text

LABELS = ["CWE-79", "CWE-89"]
WORDS = "certificate host mismatch password in java applet cookie the sensitive script sql".split()


@pytest.fixture(scope="module")
def texts() -> Any:
    return load_cwe_texts()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    words = sorted(set(tokenize(" ".join(WORDS))[0]))
    weights = QuantizedWeights(
        np.ones((len(words), 2), dtype=np.int8),
        np.ones(2, dtype=np.float32),
        np.zeros(2, dtype=np.float32),
        np.ones(len(words), dtype=np.float32),
    )
    calibration = {policy: {"temperature": 1.0, "slope": 1.0, "intercept": 0.0} for policy in ("mitre", "nvd")}
    manifest = {"name": "tiny", "labels": LABELS, "max_n": 1, "calibration": calibration, "threshold": {"mitre": 0, "nvd": 0}}
    write_linear_model(tmp_path / "model", manifest, words, weights)
    return tmp_path / "model"


def test_every_suggestable_entry_without_a_label_is_in_it_and_the_model_stays(model: Path, texts: Any) -> None:
    catalogue = load_catalogue(shipped_table())
    before = load_linear_model(model).digest
    report = run_train_rare(model, texts, catalogue, shipped={})
    loaded = load_linear_model(model)
    assert loaded.digest == before
    table = load_rare_table(model, loaded)
    assert table is not None
    assert report.entries == len(table.cwe_ids) > 700
    assert not set(LABELS) & set(table.cwe_ids)
    assert all(map(catalogue.is_suggestable, table.cwe_ids))
    assert "CWE-20" not in table.cwe_ids  # Discouraged
    assert table.floor == DEFAULT_FLOOR
    assert report.digest == sha256((model / "rare.json").read_bytes())
    assert report.size == (model / "rare.npz").stat().st_size
    assert {path.name for path in model.iterdir()} == {
        "manifest.json", "vocabulary.txt", "weights.npz", "rare.json", "rare.npz",
    }  # fmt: skip


def test_the_words_of_a_definition_lead_to_its_entry(model: Path, texts: Any) -> None:
    run_train_rare(model, texts, load_catalogue(shipped_table()), shipped={}, floor=0.3)
    loaded = load_linear_model(model)
    table = load_rare_table(model, loaded)
    assert table is not None
    features = loaded.features(["host mismatch in the certificate", "nothing of that"])
    nearest = table.nearest(features, 0, 3, np.ones(len(table.cwe_ids), dtype=bool))
    assert "CWE-297" in [cwe_id for cwe_id, _ in nearest]  # Improper Validation of Certificate with Host Mismatch
    assert all(0.3 <= value <= 1.01 for _, value in nearest)
    assert [value for _, value in nearest] == sorted((value for _, value in nearest), reverse=True)
    assert table.nearest(features, 1, 3, np.ones(len(table.cwe_ids), dtype=bool)) == []
    offered = np.array([each != "CWE-297" for each in table.cwe_ids])
    assert "CWE-297" not in [cwe_id for cwe_id, _ in table.nearest(features, 0, 3, offered)]


def test_a_row_is_the_mean_of_two_vectors(model: Path, texts: Any) -> None:
    run_train_rare(model, texts, load_catalogue(shipped_table()), shipped={})
    loaded = load_linear_model(model)
    table = load_rare_table(model, loaded)
    assert table is not None
    query = loaded.features(["host mismatch in the certificate"])
    found = table.similarities(query, 0)
    for weakness in rare_weaknesses(texts, load_catalogue(shipped_table()), tuple(LABELS))[::40]:
        wanted = 0.0
        for text in (weakness.name, whole_text(weakness)):
            given = loaded.features([text])
            vector = np.zeros(loaded.vocabulary_size)
            vector[given.ids] = given.values
            wanted += float(vector[query.ids] @ query.values) / 2
        assert found[table.cwe_ids.index(weakness.cwe_id)] == pytest.approx(wanted, abs=0.01)


def test_none_of_mitres_text_is_in_the_files(model: Path, texts: Any) -> None:
    run_train_rare(model, texts, load_catalogue(shipped_table()), shipped={})
    manifest = orjson.loads((model / "rare.json").read_bytes())
    assert set(manifest) == {
        "cwe_ids", "floor", "ngrams_of", "cwe_version", "cwe_xml_sha256", "ctiforge", "format", "files",
    }  # fmt: skip
    with np.load(model / "rare.npz", allow_pickle=False) as arrays:
        assert all(np.issubdtype(arrays[name].dtype, np.number) for name in arrays.files)


def test_a_table_that_is_damaged_or_of_another_model_is_refused(model: Path, texts: Any) -> None:
    loaded = load_linear_model(model)
    assert load_rare_table(model, loaded) is None
    run_train_rare(model, texts, load_catalogue(shipped_table()), shipped={})
    raw = (model / "rare.json").read_bytes()
    for change, message in (
        ({"ngrams_of": "0" * 64}, "made for another model"),
        ({"format": "ctiforge-rare/9"}, "ctiforge-rare/9"),
        ({"files": {"rare.npz": "0" * 64}}, "SHA-256 differs"),
        ({"files": None}, "not a table of rare entries"),
    ):
        (model / "rare.json").write_bytes(orjson.dumps(orjson.loads(raw) | change))
        with pytest.raises(ModelError, match=message):
            load_rare_table(model, loaded)
    (model / "rare.json").write_bytes(b"{")
    with pytest.raises(ModelError, match="not a table of rare entries"):
        load_rare_table(model, loaded)
