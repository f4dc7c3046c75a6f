"""One file over HTTP: resumed where it broke off, and given its name only when its SHA-256 is right."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from ctiforge.core.errors import InputError, MissingExtraError, SettingError
from ctiforge.core.files import file_sha256

if TYPE_CHECKING:
    import httpx

__all__ = ["MAX_BYTES", "Download", "download_file"]

MAX_BYTES = 256 * 2**20
"""A larger answer is not one of the files (they have 3 MB at most), and is cut off."""

_ATTEMPTS = 5
_TIMEOUT_SECONDS = 30.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Download:
    """What to get.

    Attributes:
        target: where it goes; what has arrived so far lies beside it, with ``.part`` after the name.
        sha256: of the whole file, lower-case hexadecimal.
        wait_seconds: before the second attempt; doubled before each further one.
    """

    url: str
    target: Path
    sha256: str
    wait_seconds: float = 0.5

    @property
    def part(self) -> Path:
        """The file with what has arrived so far."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def address(self) -> str:
        """The URL for messages, without credentials and query."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class _BrokenOffError(Exception):
    """The connection or the server gave up; trying again may help. The message says how."""


def download_file(download: Download, on_bytes: Callable[[int], None] = lambda count: None) -> int:
    """Get a file; return how many requests it took.

    A part from before is asked to be continued (RFC 9110, section 14: Range). A server that knows no ranges sends everything
    again. If a continued file turns out wrong, the part may have been of another version, so it is got anew once.

    Args:
        on_bytes: takes the bytes that have arrived so far, those from before included.

    Raises:
        SettingError: the URL is no HTTP address.
        InputError: the server cannot be reached, has no such file, keeps breaking off (the part is kept), or sends another
            file than was published (nothing is kept).
        MissingExtraError: the package httpx is not installed.
    """
    if urlsplit(download.url).scheme not in ("http", "https") or not urlsplit(download.url).netloc:
        raise SettingError(f"{download.address!r} is no HTTP address", fix="give one such as https://mirror.example/cti-bench")
    with _open_client() as client:
        transfer = _Transfer(download, client, on_bytes)
        try:
            download.target.parent.mkdir(parents=True, exist_ok=True)
            transfer.run()
        except OSError as error:
            raise InputError(
                f"{download.part}: cannot be written: {error.strerror or error}",
                fix="free space, or name another folder with --out",
            ) from None
    return transfer.requests


def _open_client() -> httpx.Client:
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("httpx", "bench") from None
    try:
        return httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        raise InputError(
            f"the network settings cannot be used: {error}", fix="correct HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or SSL_CERT_FILE"
        ) from None


class _Transfer:
    """One download with its attempts."""

    def __init__(self, download: Download, client: httpx.Client, on_bytes: Callable[[int], None]) -> None:
        self.download = download
        self.client = client
        self.on_bytes = on_bytes
        self.requests = 0
        self.continued = False

    def run(self) -> None:
        part = self.download.part
        self._complete()
        if (found := file_sha256(part)) != self.download.sha256 and self.continued:
            part.unlink()
            self._complete()
            found = file_sha256(part)
        if found != self.download.sha256:
            part.unlink()
            raise InputError(
                f"{self.download.address}: another file than was published: SHA-256 {found}, expected "
                f"{self.download.sha256}; nothing was kept",
                fix="try another mirror with --base-url, or copy the published file from a folder with --from",
            )
        part.replace(self.download.target)

    def _complete(self) -> None:
        """Make the part as long as the server's file, with as many attempts as it takes."""
        wait = self.download.wait_seconds
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._attempt()
                return
            except _BrokenOffError as error:
                if attempt == _ATTEMPTS:
                    raise self._gave_up(str(error)) from None
            time.sleep(wait)
            wait *= 2

    def _attempt(self) -> None:
        import httpx

        part = self.download.part
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        self.requests += 1
        self.continued = self.continued or have > 0
        try:
            with self.client.stream("GET", self.download.url, headers=headers) as response:
                if response.status_code == 416 and have:
                    # Nothing after what is here: it is whole, or not this file. The digest tells.
                    return
                self._check_status(response)
                resumed = response.status_code == 206
                if resumed and not _starts_at(response, have):
                    part.unlink(missing_ok=True)
                    raise _BrokenOffError("the server continued at another place than asked")
                with open(part, "ab" if resumed else "wb") as stream:
                    self._receive(response, stream, have if resumed else 0)
        except httpx.TransportError as error:
            raise _BrokenOffError(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise InputError(f"{self.download.address}: {error}", fix="check the address given with --base-url") from None

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (200, 206):
            return
        if status in _RETRIED:
            raise _BrokenOffError(f"HTTP status {status}")
        reason = {401: "not without a login", 403: "refused", 404: "no such file", 410: "no such file any more"}.get(status)
        raise InputError(
            f"{self.download.address}: {reason or 'unexpected answer'} (HTTP status {status})",
            fix="try another mirror with --base-url, or copy the file from a folder with --from",
        )

    def _receive(self, response: httpx.Response, stream: IO[bytes], have: int) -> None:
        expected = response.headers.get("Content-Length", "")
        end = have + int(expected) if expected.isdigit() else None
        for block in response.iter_raw():
            have += len(block)
            if have > MAX_BYTES:
                stream.close()
                self.download.part.unlink(missing_ok=True)
                raise InputError(
                    f"{self.download.address}: more than {MAX_BYTES:,} bytes, which is none of the files; nothing was kept",
                    fix="check the address given with --base-url",
                )
            stream.write(block)
            self.on_bytes(have)
        if end is not None and have < end:
            raise _BrokenOffError(f"{have:,} of {end:,} bytes arrived")

    def _gave_up(self, reason: str) -> InputError:
        part = self.download.part
        kept = part.stat().st_size if part.exists() else 0
        again = f"run the same command again to go on after {kept:,} bytes; " if kept else ""
        return InputError(
            f"{self.download.address}: not fetched after {_ATTEMPTS} attempts: {reason}",
            fix=f"{again}check the network and HTTPS_PROXY, or copy the file from a folder with --from",
        )


def _starts_at(response: httpx.Response, place: int) -> bool:
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == place
