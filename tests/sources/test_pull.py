"""Pulling sources, from a server on this machine with a server's faults, and from a folder."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.files import sha256
from ctiforge.sources import published, pull
from ctiforge.sources.published import SOURCES
from ctiforge.sources.pull import PulledFile, pull_sources, read_record

pytestmark = pytest.mark.enable_socket


def zipped(name: str, text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name, (2031, 1, 1, 0, 0, 0)), text)
    return stream.getvalue()


def bundle(name: str) -> bytes:
    return json.dumps({"type": "bundle", "objects": [{"name": name * 4000}]}).encode()


FILES = {
    **{f"{domain}-attack-18.1.json": bundle(domain) for domain in ("enterprise", "mobile", "ics")},
    "stix-capec.json": bundle("capec"),
    "cwec_v4.14.xml.zip": zipped("cwec_v4.14.xml", '<?xml version="1.0"?><Weakness_Catalog Version="4.14"/>'),
    "known_exploited_vulnerabilities.json": json.dumps({"vulnerabilities": []}).encode(),
    "epss_scores-current.csv.gz": gzip.compress(b"#model_version:v1\ncve,epss,percentile\nCVE-2099-1111,0.1,0.2\n", mtime=0),
}
"""What the server has."""


@dataclass
class Server:
    """What the server has and does wrong, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    cut_after: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    tag: str = '"one"'
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        state = self.state
        name = self.path.rpartition("/")[2]
        state.asked.append((name, self.headers["Range"], self.headers["If-Range"]))
        content = state.files.get(name)
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if (asked := self.headers["Range"]) and self.headers["If-Range"] in (None, state.tag):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", state.tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if state.cut_after:
            self.wfile.write(body[: state.cut_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    state = Server()
    running = ThreadingHTTPServer(("127.0.0.1", 0), type("ThisHandler", (Handler,), {"state": state}))
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{running.server_address[1]}/mirror"
    try:
        yield state
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _pins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pin ATT&CK to what the server has, and do not wait between attempts."""
    pins = {name: sha256(content) for name, content in FILES.items() if "attack" in name}
    sources = MappingProxyType({**SOURCES, "attack": replace(SOURCES["attack"], pins=pins)})
    monkeypatch.setattr(published, "SOURCES", sources)
    monkeypatch.setattr(pull, "SOURCES", sources)
    monkeypatch.setattr("ctiforge.sources.download.time.sleep", lambda seconds: None)


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., list[PulledFile]]:
    def call(*names: str, **more: object) -> list[PulledFile]:
        options = {"origin": server.url, "show": lambda text: None, **more}
        return pull_sources(names, tmp_path / "out", **options)  # type: ignore[arg-type]

    return call


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != pull.RECORD_NAME}


def test_all_sources_are_pulled_whole_with_their_terms_shown_first(server: Server, tmp_path: Path) -> None:
    shown: list[tuple[str, int]] = []
    pulled = pull_sources(
        list(SOURCES), tmp_path / "out", origin=server.url, show=lambda text: shown.append((text, len(server.asked)))
    )
    assert [count for _, count in shown] == [0] * 5
    assert "terms-of-use" in shown[0][0]
    assert kept(tmp_path / "out") == FILES
    assert [(each.name, each.how, each.requests) for each in pulled] == [(name, "downloaded", 1) for name in FILES]
    assert [each.source for each in pulled if each.pinned] == ["attack"] * 3
    record = read_record(tmp_path / "out")
    assert {name: facts["sha256"] for name, facts in record.items()} == {name: sha256(data) for name, data in FILES.items()}
    assert record["stix-capec.json"]["release"] == "3.9"


def test_the_published_addresses_are_those_of_the_publishers() -> None:
    urls = [each.url for source in SOURCES.values() for each in source.files()]
    assert all(url.startswith("https://") and "{" not in url for url in urls)
    assert [each.sha256 is not None for each in SOURCES["attack"].files()] == [True] * 3
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for source in SOURCES.values() for digest in source.pins.values())
    assert [each.sha256 for each in SOURCES["attack"].files("19.2")] == [None] * 3


def test_what_is_there_is_left_alone_and_feeds_are_got_anew(
    get: Callable[..., list[PulledFile]], server: Server, tmp_path: Path
) -> None:
    get("attack", "capec", "kev")
    server.asked.clear()
    server.files["known_exploited_vulnerabilities.json"] = b'{"vulnerabilities": [1]}'
    again = get("attack", "capec", "kev")
    assert [each.how for each in again] == ["present"] * 4 + ["downloaded"]
    assert [name for name, *_ in server.asked] == ["known_exploited_vulnerabilities.json"]
    assert (tmp_path / "out" / "known_exploited_vulnerabilities.json").read_bytes() == b'{"vulnerabilities": [1]}'


def test_a_pinned_file_that_broke_off_goes_on_in_a_later_call(
    get: Callable[..., list[PulledFile]], server: Server, tmp_path: Path
) -> None:
    server.cut_after = [1000, 0, 0, 0, 0]
    with pytest.raises(InputError, match="not fetched after 5 attempts") as caught:
        get("attack")
    assert caught.value.fix is not None
    assert "--from DIR|URL" in caught.value.fix
    assert {name: len(data) for name, data in kept(tmp_path / "out").items()} == {"enterprise-attack-18.1.json.part": 1000}
    pulled = get("attack")
    assert server.asked[5] == ("enterprise-attack-18.1.json", "bytes=1000-", None)
    assert pulled[0].path.read_bytes() == FILES["enterprise-attack-18.1.json"]
    assert sorted(kept(tmp_path / "out")) == sorted(name for name in FILES if "attack" in name)


def test_a_file_without_a_digest_goes_on_while_it_is_the_same_one(
    get: Callable[..., list[PulledFile]], server: Server, tmp_path: Path
) -> None:
    server.cut_after = [1000]
    (pulled,) = get("capec")
    assert pulled.requests == 2
    assert server.asked[1] == ("stix-capec.json", "bytes=1000-", '"one"')
    assert kept(tmp_path / "out") == {"stix-capec.json": FILES["stix-capec.json"]}


def test_a_file_that_changed_meanwhile_is_got_from_its_start(
    get: Callable[..., list[PulledFile]], server: Server, tmp_path: Path
) -> None:
    server.cut_after = [1000, 0, 0, 0, 0]
    with pytest.raises(InputError):
        get("capec")
    assert sorted(kept(tmp_path / "out")) == ["stix-capec.json.part", "stix-capec.json.part.version"]
    server.tag, server.files["stix-capec.json"] = '"two"', bundle("newer")
    (pulled,) = get("capec")
    assert pulled.path.read_bytes() == bundle("newer")
    assert kept(tmp_path / "out") == {"stix-capec.json": bundle("newer")}


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_a_part_whose_version_nobody_knows_is_not_continued(
    tag: str, get: Callable[..., list[PulledFile]], server: Server, tmp_path: Path
) -> None:
    server.cut_after, server.tag = [1000], tag
    get("capec")
    assert [asked for _, asked, _ in server.asked] == [None, None]
    assert kept(tmp_path / "out") == {"stix-capec.json": FILES["stix-capec.json"]}


@pytest.mark.parametrize(
    ("source", "name", "content", "said"),
    [
        ("capec", "stix-capec.json", b"<html>log in</html>", "not JSON"),
        ("capec", "stix-capec.json", b'{"error": 1}', "no 'objects'"),
        ("cwe", "cwec_v4.14.xml.zip", b"<html>log in</html>", "does not say 'Weakness_Catalog'"),
        ("cwe", "cwec_v4.14.xml.zip", FILES["cwec_v4.14.xml.zip"][:60], "cannot be read"),
        ("kev", "known_exploited_vulnerabilities.json", b"[]", "no 'vulnerabilities'"),
        ("epss", "epss_scores-current.csv.gz", FILES["epss_scores-current.csv.gz"][:-9], "cannot be read"),
    ],
)
def test_what_does_not_read_as_the_source_is_not_kept(
    source: str, name: str, content: bytes, said: str, get: Callable[..., list[PulledFile]], server: Server, tmp_path: Path
) -> None:
    get(source)
    server.files[name] = content
    if SOURCES[source].release:  # it would be left alone
        (tmp_path / "out" / name).unlink()
    with pytest.raises(InputError, match=said):
        get(source)
    left = kept(tmp_path / "out")
    assert left == ({} if SOURCES[source].release else {name: FILES[name]})


def test_another_file_than_was_pinned_is_not_kept(get: Callable[..., list[PulledFile]], server: Server, tmp_path: Path) -> None:
    server.files["mobile-attack-18.1.json"] = bundle("forged")
    with pytest.raises(InputError, match="another file than was published"):
        get("attack")
    assert sorted(kept(tmp_path / "out")) == ["enterprise-attack-18.1.json"]


def test_a_digest_that_the_user_knows_counts(get: Callable[..., list[PulledFile]]) -> None:
    with pytest.raises(InputError, match="another file than was published"):
        get("capec", digests={"stix-capec.json": "0" * 64})
    (pulled,) = get("capec", digests={"stix-capec.json": sha256(FILES["stix-capec.json"]).upper()})
    assert pulled.pinned


def test_another_release_can_be_asked_for(get: Callable[..., list[PulledFile]], server: Server) -> None:
    server.files["cwec_v4.18.xml.zip"] = zipped("cwec_v4.18.xml", "<Weakness_Catalog/>")
    (pulled,) = get("cwe", releases={"cwe": "4.18"})
    assert (pulled.name, pulled.release, pulled.pinned) == ("cwec_v4.18.xml.zip", "4.18", False)
    with pytest.raises(InputError, match="no such file"):
        get("attack", releases={"attack": "99.9"})


def test_a_folder_takes_the_place_of_the_network(server: Server, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    for name, content in FILES.items():
        (stick / name).write_bytes(content)
    pulled = pull_sources(list(SOURCES), tmp_path / "out", origin=str(stick), show=lambda text: None)
    assert {each.how for each in pulled} == {"copied"}
    assert kept(tmp_path / "out") == FILES
    assert server.asked == []
    (stick / "ics-attack-18.1.json").write_bytes(b"{}")
    with pytest.raises(InputError, match="nothing was copied"):
        pull_sources(["attack"], tmp_path / "other", origin=str(stick), show=lambda text: None)
    (stick / "stix-capec.json").unlink()
    with pytest.raises(InputError, match="no such file"):
        pull_sources(["capec"], tmp_path / "other", origin=str(stick), show=lambda text: None)


def test_another_file_in_the_way_of_a_pinned_one_is_left_alone(
    get: Callable[..., list[PulledFile]], server: Server, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "enterprise-attack-18.1.json").write_text("my own")
    with pytest.raises(InputError, match="there is another file"):
        get("attack")
    assert (tmp_path / "out" / "enterprise-attack-18.1.json").read_text() == "my own"
    assert server.asked == []


def test_a_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/mirror"))
    pull_sources(["kev"], tmp_path, origin="http://mirror.invalid/files", show=lambda text: None)
    assert [name for name, *_ in server.asked] == ["known_exploited_vulnerabilities.json"]


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["atack"], {}, "attack"),
        (["kev"], {"releases": {"kev": "1"}}, "no releases"),
        (["cwe"], {"releases": {"cwe": "../4"}}, "no release of cwe"),
        (["cwe"], {"releases": {"attack": "18.1"}}, "not pulled"),
        (["capec"], {"digests": {"stix.json": "0" * 64}}, "none of the files"),
        (["capec"], {"digests": {"stix-capec.json": "12"}}, "no SHA-256"),
    ],
)
def test_settings_that_are_none_are_refused_before_any_request(
    names: list[str], options: dict[str, dict[str, str]], said: str, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=said if said != "attack" else "no source named") as caught:
        pull_sources(names, tmp_path, origin=server.url, show=lambda text: None, **options)
    assert caught.value.fix
    assert server.asked == []
