"""Fetching published files, from a server on this machine that has every fault a server can have."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from ctiforge.bench import fetch as fetch_module
from ctiforge.bench import tasks as tasks_module
from ctiforge.bench.fetch import fetch_task_files
from ctiforge.bench.publications import CTI_BENCH
from ctiforge.bench.tasks import TASKS
from ctiforge.core.errors import InputError, MissingExtraError, SettingError
from ctiforge.core.files import file_sha256, sha256
from ctiforge.sources import download as download_module
from ctiforge.sources.download import Download, download_file

CONTENT = bytes(range(256)) * 400
"""What the server has under every name: 102,400 bytes."""

pytestmark = pytest.mark.enable_socket


@dataclass
class Faults:
    """What the server does wrong, and what it was asked."""

    content: bytes = CONTENT
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    """Bytes of the body to send before the connection is closed, for the first requests."""
    statuses: list[int] = field(default_factory=list)
    """Statuses for the first requests; 0 for none."""
    range_shift: int = 0
    """Where a continued answer really starts, against what was asked."""
    paths: list[str] = field(default_factory=list)
    asked_ranges: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    faults: Faults

    def do_GET(self) -> None:
        faults = self.faults
        faults.paths.append(self.path)
        asked = self.headers["Range"]
        faults.asked_ranges.append(asked)
        assert self.headers["Accept-Encoding"] == "identity"
        status = faults.statuses.pop(0) if faults.statuses else 0
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if asked and faults.ranges:
            match = re.fullmatch(r"bytes=(\d+)-", asked)
            assert match
            start = int(match[1]) + faults.range_shift
            if start >= len(faults.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(faults.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        body = faults.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(faults.content) - 1}/{len(faults.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if faults.cut_after:
            self.wfile.write(body[: faults.cut_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def server(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    handler = type("ThisHandler", (Handler,), {"faults": faults})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}/files"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.fixture
def get(server: str, tmp_path: Path) -> Callable[..., int]:
    """Download the server's file to ``tmp_path/out/x.tsv``."""

    def call(digest: str = sha256(CONTENT), **more: Callable[[int], None]) -> int:
        return download_file(Download(f"{server}/x.tsv", tmp_path / "out" / "x.tsv", digest, wait_seconds=0), **more)

    return call


def kept(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def test_a_file_is_fetched_at_once(get: Callable[..., int], faults: Faults, tmp_path: Path) -> None:
    seen: list[int] = []
    assert get(on_bytes=seen.append) == 1
    assert (tmp_path / "out" / "x.tsv").read_bytes() == CONTENT
    assert kept(tmp_path / "out") == {"x.tsv": len(CONTENT)}
    assert faults.asked_ranges == [None]
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)


def test_a_cut_connection_is_taken_up_where_it_broke(get: Callable[..., int], faults: Faults, tmp_path: Path) -> None:
    faults.cut_after = [1000, 50_000]
    assert get() == 3
    assert (tmp_path / "out" / "x.tsv").read_bytes() == CONTENT
    assert faults.asked_ranges == [None, "bytes=1000-", "bytes=51000-"]


def test_a_server_without_ranges_sends_everything_again(get: Callable[..., int], faults: Faults, tmp_path: Path) -> None:
    faults.ranges = False
    faults.cut_after = [1000]
    assert get() == 2
    assert (tmp_path / "out" / "x.tsv").read_bytes() == CONTENT


def test_a_download_goes_on_in_a_later_call(get: Callable[..., int], faults: Faults, tmp_path: Path) -> None:
    faults.cut_after = [1000, 0, 0, 0, 0]
    with pytest.raises(InputError, match="not fetched after 5 attempts: ") as caught:
        get()
    assert caught.value.fix is not None
    assert caught.value.fix.startswith("run the same command again to go on after 1,000 bytes")
    assert kept(tmp_path / "out") == {"x.tsv.part": 1000}
    assert get() == 1
    assert faults.asked_ranges[-1] == "bytes=1000-"
    assert kept(tmp_path / "out") == {"x.tsv": len(CONTENT)}
    assert (tmp_path / "out" / "x.tsv").read_bytes() == CONTENT


def test_a_whole_part_needs_its_name_only(get: Callable[..., int], faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.tsv.part").write_bytes(CONTENT)
    assert get() == 1
    assert faults.asked_ranges == [f"bytes={len(CONTENT)}-"]
    assert (tmp_path / "out" / "x.tsv").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"of another version", b"x" * (len(CONTENT) + 5)])
def test_a_part_of_another_file_is_given_up(part: bytes, get: Callable[..., int], faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.tsv.part").write_bytes(part)
    assert get() == 2
    assert faults.asked_ranges == [f"bytes={len(part)}-", None]
    assert (tmp_path / "out" / "x.tsv").read_bytes() == CONTENT


def test_an_answer_that_starts_elsewhere_is_not_appended(get: Callable[..., int], faults: Faults, tmp_path: Path) -> None:
    faults.cut_after = [1000]
    faults.range_shift = 7
    assert get() == 3
    assert faults.asked_ranges == [None, "bytes=1000-", None]
    assert (tmp_path / "out" / "x.tsv").read_bytes() == CONTENT


def test_another_file_than_was_published_is_not_kept(get: Callable[..., int], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another file than was published") as caught:
        get("0" * 64)
    assert sha256(CONTENT) in caught.value.message
    assert "nothing was kept" in caught.value.message
    assert kept(tmp_path / "out") == {}


def test_a_missing_file_is_not_asked_for_again(get: Callable[..., int], faults: Faults, tmp_path: Path, server: str) -> None:
    faults.statuses = [404]
    with pytest.raises(InputError) as caught:
        get()
    assert caught.value.message == f"{server}/x.tsv: no such file (HTTP status 404)"
    assert caught.value.fix is not None
    assert "--from" in caught.value.fix
    assert len(faults.paths) == 1
    assert kept(tmp_path / "out") == {}


def test_a_busy_server_is_asked_again(get: Callable[..., int], faults: Faults) -> None:
    faults.statuses = [503, 429, 500]
    assert get() == 4


def test_a_server_that_stays_busy_is_given_up(get: Callable[..., int], faults: Faults) -> None:
    faults.statuses = [503] * 9
    with pytest.raises(InputError, match="not fetched after 5 attempts: HTTP status 503") as caught:
        get()
    assert caught.value.fix is not None
    assert caught.value.fix.startswith("check the network and HTTPS_PROXY")
    assert len(faults.paths) == 5


def test_an_answer_without_end_is_cut_off(get: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "MAX_BYTES", 50_000)
    with pytest.raises(InputError, match="more than 50,000 bytes"):
        get()
    assert kept(tmp_path / "out") == {}


def test_no_server_is_an_input_error(server: str, tmp_path: Path) -> None:
    closed = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = closed.server_address[1]
    closed.server_close()
    with pytest.raises(InputError, match="not fetched after 5 attempts: ConnectError") as caught:
        download_file(Download(f"http://user:secret@127.0.0.1:{port}/x?token=secret", tmp_path / "x", "0" * 64, wait_seconds=0))
    assert "secret" not in str(caught.value)


def test_a_proxy_of_the_environment_is_used(
    server: str, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.removesuffix("/files"))
    download_file(Download("http://mirror.invalid/x.tsv", tmp_path / "x.tsv", sha256(CONTENT)))
    assert faults.paths == ["http://mirror.invalid/x.tsv"]


@pytest.mark.parametrize("url", ["ftp://a.example/x", "x.tsv", "file:///etc/hosts", "https:///x"])
def test_only_http_addresses_are_taken(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no HTTP address"):
        download_file(Download(url, tmp_path / "x", "0" * 64))


def test_downloads_need_a_package_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtraError, match="needs 'httpx'"):
        download_file(Download("http://a.example/x", tmp_path / "x", "0" * 64))


def test_settings_of_the_network_that_cannot_be_used_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks9://proxy.example")
    with pytest.raises(InputError, match="the network settings cannot be used"):
        download_file(Download("http://a.example/x", tmp_path / "x", "0" * 64))


def test_a_folder_that_cannot_be_made_is_an_input_error(server: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        download_file(Download(f"{server}/x.tsv", tmp_path / "out" / "x.tsv", "0" * 64))


# The command: tasks, licences, folders.


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pin the tasks of CTI-Bench to what the server has."""
    known = {name: replace(task, sha256=sha256(CONTENT)) if task.sha256 else task for name, task in TASKS.items()}
    for module in (tasks_module, fetch_module):
        monkeypatch.setattr(module, "TASKS", MappingProxyType(known))


@pytest.mark.usefixtures("pinned")
def test_tasks_are_fetched_after_their_licence_was_shown(server: str, faults: Faults, tmp_path: Path) -> None:
    shown: list[tuple[str, int]] = []
    fetched = fetch_task_files(
        ["cti-rcm", "cti-mcq", "cti-rcm"], tmp_path, server + "/", show=lambda text: shown.append((text, len(faults.paths)))
    )
    assert shown == [(CTI_BENCH.notice, 0)]  # before the first request
    assert "CC BY-NC-SA 4.0" in CTI_BENCH.notice
    assert faults.paths == ["/files/cti-rcm.tsv", "/files/cti-mcq.tsv"]
    assert [(each.task, each.how, each.bytes, each.requests) for each in fetched] == [
        ("cti-rcm", "downloaded", len(CONTENT), 1),
        ("cti-mcq", "downloaded", len(CONTENT), 1),
    ]
    assert sorted(kept(tmp_path)) == ["LICENCE-cti-bench.txt", "cti-mcq.tsv", "cti-rcm.tsv"]
    assert (tmp_path / "LICENCE-cti-bench.txt").read_text("utf-8") == CTI_BENCH.notice
    again = fetch_task_files(["cti-rcm"], tmp_path, server, show=lambda text: None)
    assert [each.how for each in again] == ["present"]
    assert len(faults.paths) == 2


@pytest.mark.usefixtures("pinned")
def test_all_published_tasks_are_fetched_if_none_is_named(server: str, tmp_path: Path) -> None:
    sizes: dict[str, int] = {}
    fetched = fetch_task_files([], tmp_path, server, show=lambda text: None, on_bytes=sizes.__setitem__)
    names = [name for name in TASKS if name.startswith("cti-")]
    assert [each.task for each in fetched] == names
    assert sizes == dict.fromkeys(names, len(CONTENT))
    assert all(file_sha256(each.path) == each.sha256 for each in fetched)


@pytest.mark.usefixtures("pinned")
def test_a_folder_takes_the_place_of_the_network(server: str, faults: Faults, tmp_path: Path) -> None:
    source = tmp_path / "stick"
    source.mkdir()
    (source / "cti-rcm.tsv").write_bytes(CONTENT)
    (source / "cti-mcq.tsv").write_bytes(CONTENT[:-1])
    fetched = fetch_task_files(["cti-rcm"], tmp_path / "out", from_dir=source, show=lambda text: None)
    assert [(each.how, each.requests) for each in fetched] == [("copied", 0)]
    assert (tmp_path / "out" / "cti-rcm.tsv").read_bytes() == CONTENT
    with pytest.raises(InputError, match="nothing was copied"):
        fetch_task_files(["cti-mcq"], tmp_path / "out", from_dir=source, show=lambda text: None)
    with pytest.raises(InputError, match="no such file"):
        fetch_task_files(["cti-vsp"], tmp_path / "out", from_dir=source, show=lambda text: None)
    assert sorted(kept(tmp_path / "out")) == ["LICENCE-cti-bench.txt", "cti-rcm.tsv"]
    assert faults.paths == []


@pytest.mark.usefixtures("pinned")
def test_another_file_in_the_way_is_left_alone(server: str, faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "cti-rcm.tsv").write_text("my own copy")
    with pytest.raises(InputError, match="there is another file"):
        fetch_task_files(["cti-rcm"], tmp_path, server, show=lambda text: None)
    assert (tmp_path / "cti-rcm.tsv").read_text() == "my own copy"
    assert faults.paths == []


def test_what_cannot_be_fetched_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="athena-rcm is not for fetching") as caught:
        fetch_task_files(["athena-rcm"], tmp_path / "out")
    assert caught.value.fix is not None
    assert "https://github.com/Athena-Software-Group/athenabench" in caught.value.fix
    with pytest.raises(SettingError, match="no task named"):
        fetch_task_files(["cti-rmc"], tmp_path / "out")
    with pytest.raises(SettingError, match="both a mirror and a folder"):
        fetch_task_files(["cti-rcm"], tmp_path / "out", "http://a.example", tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_published_files_are_on_one_host() -> None:
    assert {task.url for task in TASKS.values() if task.url} == {
        f"{CTI_BENCH.files_url}/{task.file}" for name, task in TASKS.items() if name.startswith("cti-")
    }


@pytest.mark.disable_socket
def test_the_published_files_can_be_copied(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "ctibench"
    if not source.is_dir():
        pytest.skip("the files of CTI-Bench are not here")
    fetched = fetch_task_files([], tmp_path, from_dir=source, show=lambda text: None)
    assert len(fetched) == 6
    assert {each.how for each in fetched} == {"copied"}
