"""Similar past CVEs: what is found, and above all what must not be."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from ctiforge.classify import Classifier
from ctiforge.classify.classifier import load_model
from ctiforge.classify.similar import SimilarCves
from ctiforge.classify.similar_build import build_similar_index
from ctiforge.core.advisory import Advisory, SourceRef
from ctiforge.core.errors import ModelError
from ctiforge.models.text_vectors import text_embeddings, vector_model
from ctiforge.sources.cwe import load_catalogue
from ctiforge.sources.read import read_raw_records

LABELS = ["CWE-20", "CWE-79", "CWE-89", "CWE-119", "CWE-787"]
WORDS = "allow attack buffer in inject login memory overflow script sql the valid write".split()
RECORDS: list[dict[str, Any]] = [
    {"id": "CVE-2099-1001", "description": "SQL inject in the login", "cwe": "CWE-89", "published": "2099-01-01"},
    {"id": "CVE-2099-1002", "description": "SQL inject in the script", "cwe": "CWE-89", "published": "2099-02-01"},
    {"id": "CVE-2099-1003", "description": "Buffer overflow write", "cwe": "CWE-787", "published": "2099-03-01"},
    {"id": "CVE-2099-1004", "description": "Script inject in the login", "cwe": "CWE-79"},
    {"id": "CVE-2099-1005", "description": "The memory buffer overflow", "cwe": "CWE-119", "published": "2099-05-01"},
]
QUERY = "SQL inject in the login script"


def feed(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {"linear": tiny_model}
    for package in ("onnx", "onnxruntime", "tokenizers"):
        try:
            __import__(package)
        except ImportError:
            return found
    made = runpy.run_path(str(Path(__file__).parent / "tiny_encoder_model.py"))
    folder = tmp_path_factory.mktemp("encoders")
    found["encoder"] = made["write_encoder"](folder / "encoder", WORDS, LABELS)
    found["blend"] = made["write_blend"](folder / "blend", tiny_model, WORDS, LABELS)
    found["unsure"] = made["write_blend"](folder / "unsure", tiny_model, WORDS, LABELS, sure=1.1)
    return found


@pytest.fixture(params=["linear", "encoder", "blend", "unsure"])
def model(request: pytest.FixtureRequest, models: dict[str, Path]) -> Path:
    if request.param not in models:
        pytest.skip("onnx, onnxruntime or tokenizers is not installed")
    return models[request.param]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    def made(model: Path, records: list[dict[str, Any]], name: str = "index") -> Path:
        path = feed(tmp_path / f"{name}.jsonl", records)
        build_similar_index(read_raw_records([str(path)]), tmp_path / name, load_model(model), catalogue=load_catalogue())
        return tmp_path / name

    return made


def advisory(cve_id: str, text: str = QUERY, **more: Any) -> Advisory:
    return Advisory(cve_id, SourceRef("feed.jsonl"), text, **more)


def found(model: Path, index: Path, asked: Advisory | str, **settings: Any) -> list[str]:
    (answer,) = Classifier(model, similar=index, **settings).classify([asked])
    assert answer.similar is not None
    return [each.id for each in answer.similar]


def test_three_past_cves_with_their_cwes_nearest_first(model: Path, build: Callable[..., Path]) -> None:
    (answer,) = Classifier(model, similar=build(model, RECORDS)).classify([advisory("CVE-2099-9000")])
    assert answer.similar is not None
    assert len(answer.similar) == 3
    assert "CVE-2099-1001" in [each.id for each in answer.similar]
    values = [each.similarity for each in answer.similar]
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] <= values[0] <= 1
    record = {each["id"]: each for each in RECORDS}[answer.similar[0].id]
    assert answer.similar[0].assigned == (("user", record["cwe"]),)
    assert answer.similar[0].excerpt == record["description"]
    assert answer.similar[0].published == record.get("published", "")


def test_without_an_index_nothing_is_said_of_similar_ones(model: Path) -> None:
    assert Classifier(model).classify([QUERY])[0].similar is None


@pytest.mark.parametrize(
    "own",
    [
        {"id": "CVE-2099-9000", "description": f"{QUERY} write"},
        {"id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2099-9000"], "description": f"{QUERY} write"},
        {"id": "CVE-2099-8000", "description": "sql  INJECT, in the login: script!"},
    ],
    ids=["by ID", "by alias", "by equal text"],
)
def test_a_record_never_finds_itself(model: Path, build: Callable[..., Path], own: dict[str, Any], tmp_path: Path) -> None:
    if "aliases" in own:  # only OSV and the like carry aliases
        path = tmp_path / "own.json"
        path.write_bytes(orjson.dumps({
            "schema_version": "1.6.0", "id": own["id"], "aliases": own["aliases"], "details": own["description"],
            "modified": "2099-01-01T00:00:00Z", "database_specific": {"cwe_ids": ["CWE-89"]},
        }))  # fmt: skip
        plain = feed(tmp_path / "others.jsonl", RECORDS)
        raws = read_raw_records([str(path), str(plain)])
        build_similar_index(raws, tmp_path / "index", load_model(model), catalogue=load_catalogue())
        index = tmp_path / "index"
    else:
        index = build(model, [own | {"cwe": "CWE-89"}, *RECORDS])
    others = [record["id"] for record in RECORDS]
    assert set(found(model, index, advisory("CVE-2099-9000"))) <= set(others)
    # Somebody else's question does find it, so that the test above can fail.
    if own["id"] != "CVE-2099-8000":
        assert set(found(model, index, advisory("CVE-2099-7000", f"{QUERY} overflow"))) - set(others)


def test_an_alias_of_the_record_asked_for_counts_too(model: Path, build: Callable[..., Path]) -> None:
    index = build(model, RECORDS)
    asked = advisory("GHSA-xxxx-yyyy-zzzz", aliases=("cve-2099-1001",))
    assert "CVE-2099-1001" not in found(model, index, asked)
    assert "CVE-2099-1001" in found(model, index, advisory("GHSA-xxxx-yyyy-zzzz"))


def test_a_bare_text_that_names_its_cve_does_not_find_it(models: dict[str, Path], build: Callable[..., Path]) -> None:
    model = models["linear"]
    index = build(model, RECORDS)
    assert "CVE-2099-1001" not in found(model, index, f"CVE-2099-1001: {QUERY}")
    # A record of its own may name another CVE, and finds it.
    assert "CVE-2099-1001" in found(model, index, advisory("CVE-2099-9000", f"{QUERY}, unlike CVE-2099-1001"))


def test_only_earlier_ones_if_asked(model: Path, build: Callable[..., Path]) -> None:
    index = build(model, RECORDS)
    assert found(model, index, advisory("CVE-2099-9000"), similar_before=date(2099, 2, 1)) == ["CVE-2099-1001"]
    # The one without a date may be later, and is left out however late the day is.
    assert "CVE-2099-1004" not in found(model, index, advisory("CVE-2099-9000"), similar_before=date(2200, 1, 1))


def test_no_text_has_no_similar_ones(model: Path, build: Callable[..., Path]) -> None:
    assert found(model, build(model, RECORDS), advisory("CVE-2099-9000", "")) == []


def test_order_and_ties_follow_the_index(models: dict[str, Path], build: Callable[..., Path]) -> None:
    twins = [{"id": f"CVE-2099-{2000 + i}", "description": "SQL inject write", "cwe": "CWE-89"} for i in range(9)]
    index = build(models["linear"], twins)
    assert found(models["linear"], index, "SQL inject") == ["CVE-2099-2000", "CVE-2099-2001", "CVE-2099-2002"]


def test_the_search_over_ngrams_is_exact(models: dict[str, Path], build: Callable[..., Path]) -> None:
    model = load_model(models["linear"])
    random = np.random.default_rng(3)
    texts = [" ".join(random.choice(WORDS, size=6)) for _ in range(700)]
    records = [{"id": f"CVE-2099-{3000 + i}", "description": text, "cwe": "CWE-89"} for i, text in enumerate(texts)]
    index = SimilarCves(build(models["linear"], records), model)
    assert len(index) == 700
    features = model.features([*texts, QUERY])  # type: ignore[attr-defined]
    matrix = np.zeros((701, 100))
    for row in range(701):
        matrix[row, features.ids[features.of(row)]] = features.values[features.of(row)]
    wanted = np.sort(matrix[:700] @ matrix[700])[::-1][:3]
    ((first, second, third),) = index.find([advisory("CVE-2099-9000")], [QUERY])
    np.testing.assert_allclose([first.similarity, second.similarity, third.similarity], wanted, atol=0.01)


def test_blocks_of_embeddings_give_what_one_product_gives(
    models: dict[str, Path], build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "encoder" not in models:
        pytest.skip("onnx, onnxruntime or tokenizers is not installed")
    model = load_model(models["encoder"])
    random = np.random.default_rng(4)
    texts = list(dict.fromkeys(" ".join(random.choice(WORDS, size=5)) for _ in range(90)))
    records = [{"id": f"CVE-2099-{3000 + i}", "description": text, "cwe": "CWE-89"} for i, text in enumerate(texts)]
    monkeypatch.setattr("ctiforge.classify.similar._ENTRIES_AT_ONCE", 7)
    index = SimilarCves(build(models["encoder"], records), model)
    encoder = vector_model(model)
    vectors = text_embeddings(encoder, [*texts, QUERY])  # type: ignore[arg-type]
    wanted = np.sort(vectors[:-1] @ vectors[-1])[::-1][:3]
    ((*got,),) = index.find([advisory("CVE-2099-9000")], [QUERY])
    np.testing.assert_allclose([each.similarity for each in got], wanted, atol=0.02)


def test_vectors_of_a_scored_batch_are_those_of_the_texts(models: dict[str, Path]) -> None:
    if "blend" not in models:
        pytest.skip("onnx, onnxruntime or tokenizers is not installed")
    model = load_model(models["blend"])
    texts = ["sql inject sql inject sql", "the login in the script", "buffer overflow write"]
    scored = model.score(texts, "mitre")
    assert 0 < len(scored.asked) < 3  # type: ignore[attr-defined]
    encoder = vector_model(model)
    np.testing.assert_allclose(text_embeddings(encoder, texts, scored), text_embeddings(encoder, texts), atol=1e-6)  # type: ignore[arg-type]


def test_an_index_of_another_model_is_refused(models: dict[str, Path], build: Callable[..., Path], tmp_path: Path) -> None:
    index = build(models["linear"], RECORDS)
    other = tmp_path / "other"
    other.mkdir()
    for file in models["linear"].iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    manifest = orjson.loads((other / "manifest.json").read_bytes())
    (other / "manifest.json").write_bytes(orjson.dumps(manifest | {"name": "other"}))
    with pytest.raises(ModelError, match="built with model 'tiny'") as caught:
        Classifier(other, similar=index)
    assert "--model other" in str(caught.value.fix)


def test_an_index_serves_a_blend_and_its_encoder(models: dict[str, Path], build: Callable[..., Path]) -> None:
    if "blend" not in models:
        pytest.skip("onnx, onnxruntime or tokenizers is not installed")
    index = build(models["blend"], RECORDS)
    assert found(models["blend"] / "encoder", index, QUERY) == found(models["blend"], index, QUERY)


def test_another_format_and_a_damaged_file_are_refused(models: dict[str, Path], build: Callable[..., Path]) -> None:
    model = load_model(models["linear"])
    index = build(models["linear"], RECORDS)
    manifest = orjson.loads((index / "manifest.json").read_bytes())
    (values,) = index.glob("data-*/posting_values.bin")
    whole = values.read_bytes()
    values.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(ModelError, match="SHA-256 differs"):
        SimilarCves(index, model)
    values.unlink()
    with pytest.raises(ModelError, match="cannot read the index"):
        SimilarCves(index, model)
    (index / "manifest.json").write_bytes(orjson.dumps(manifest | {"files": {}}))
    with pytest.raises(ModelError, match="the manifest lacks something"):
        SimilarCves(index, model)
    (index / "manifest.json").write_bytes(orjson.dumps(manifest | {"format": "ctiforge-similar/9"}))
    with pytest.raises(ModelError, match="ctiforge-similar/9"):
        SimilarCves(index, model)
    with pytest.raises(ModelError, match="no index of past CVEs"):
        SimilarCves(index / "nowhere", model)
