"""One file over HTTP: resumed where it broke off, and given its name only when it is whole and what it should be."""

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
"""A larger answer is not one of the files (the largest, Enterprise ATT&CK, has 50 MB), and is cut off."""

_ATTEMPTS = 5
_TIMEOUT_SECONDS = 30.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Download:
    """What to get.

    Attributes:
        target: where it goes; what has arrived so far lies beside it, with ``.part`` after the name.
        sha256: of the whole file, lower-case hexadecimal; None where the publisher changes it at will. Then a part is continued
            only if the server says that its file is still the same one (RFC 9110, section 13.1.5: If-Range).
        wait_seconds: before the second attempt; doubled before each further one.
        elsewhere: what to type to get the file from another place, for messages.
        extra: the optional set of packages that brings httpx, for messages.
    """

    url: str
    target: Path
    sha256: str | None
    wait_seconds: float = 0.5
    elsewhere: str = "another mirror with --base-url, or copy the published file from a folder with --from"
    extra: str = "bench"

    @property
    def part(self) -> Path:
        """The file with what has arrived so far."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def validator(self) -> Path:
        """The file with what the server calls the version of the part; only for files without a digest."""
        return self.part.with_name(self.part.name + ".version")

    @property
    def address(self) -> str:
        """The URL for messages, without credentials and query."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class _BrokenOffError(Exception):
    """The connection or the server gave up; trying again may help. The message says how."""


def download_file(
    download: Download,
    on_bytes: Callable[[int], None] = lambda count: None,
    check: Callable[[Path], None] = lambda part: None,
) -> int:
    """Get a file; return how many requests it took.

    A part from before is asked to be continued (RFC 9110, section 14: Range). A server that knows no ranges sends everything
    again. If a continued file turns out wrong, the part may have been of another version, so it is got anew once.

    Args:
        on_bytes: takes the bytes that have arrived so far, those from before included.
        check: raises an `InputError` if the whole file is not what it should be; then nothing is kept.

    Raises:
        SettingError: the URL is no HTTP address.
        InputError: the server cannot be reached, has no such file, keeps breaking off (the part is kept), or sends another
            file than was published (nothing is kept).
        MissingExtraError: the package httpx is not installed.
    """
    if urlsplit(download.url).scheme not in ("http", "https") or not urlsplit(download.url).netloc:
        raise SettingError(f"{download.address!r} is no HTTP address", fix="give one such as https://mirror.example/cti-bench")
    with _open_client(download.extra) as client:
        transfer = _Transfer(download, client, on_bytes, check)
        try:
            download.target.parent.mkdir(parents=True, exist_ok=True)
            transfer.run()
        except OSError as error:
            raise InputError(
                f"{download.part}: cannot be written: {error.strerror or error}",
                fix="free space, or name another folder with --out",
            ) from None
    return transfer.requests


def _open_client(extra: str) -> httpx.Client:
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("httpx", extra) from None
    try:
        return httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        raise InputError(
            f"the network settings cannot be used: {error}", fix="correct HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or SSL_CERT_FILE"
        ) from None


class _Transfer:
    """One download with its attempts."""

    def __init__(
        self, download: Download, client: httpx.Client, on_bytes: Callable[[int], None], check: Callable[[Path], None]
    ) -> None:
        self.download = download
        self.client = client
        self.on_bytes = on_bytes
        self.check = check
        self.requests = 0
        self.continued = False

    def run(self) -> None:
        part, wanted = self.download.part, self.download.sha256
        self._complete()
        if wanted and (found := file_sha256(part)) != wanted:
            if self.continued:
                part.unlink()
                self._complete()
                found = file_sha256(part)
            if found != wanted:
                part.unlink()
                raise self._another_file(found)
        try:
            self.check(part)
        except InputError:
            part.unlink()
            raise
        finally:
            self.download.validator.unlink(missing_ok=True)
        part.replace(self.download.target)

    def _another_file(self, found: str) -> InputError:
        return InputError(
            f"{self.download.address}: another file than was published: SHA-256 {found}, expected "
            f"{self.download.sha256}; nothing was kept",
            fix=f"try {self.download.elsewhere}",
        )

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
        headers = {"Accept-Encoding": "identity"}
        if have and (version := self._known_version()) is None:
            have = 0
        elif have:
            headers |= {"Range": f"bytes={have}-", **({"If-Range": version} if version else {})}
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
                if not resumed:
                    self._keep_version(response)
                with open(part, "ab" if resumed else "wb") as stream:
                    self._receive(response, stream, have if resumed else 0)
        except httpx.TransportError as error:
            raise _BrokenOffError(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise InputError(f"{self.download.address}: {error}", fix="check the address") from None

    def _known_version(self) -> str | None:
        """Return what to send with If-Range, empty where the digest will tell, None where the part cannot be continued."""
        if self.download.sha256:
            return ""
        validator = self.download.validator
        return (validator.read_text("utf-8") or None) if validator.exists() else None

    def _keep_version(self, response: httpx.Response) -> None:
        if self.download.sha256:
            return
        tag = response.headers.get("ETag", "")
        strong = "" if tag.startswith("W/") else tag
        self.download.validator.write_text(strong or response.headers.get("Last-Modified", ""), "utf-8")

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (200, 206):
            return
        if status in _RETRIED:
            raise _BrokenOffError(f"HTTP status {status}")
        reason = {401: "not without a login", 403: "refused", 404: "no such file", 410: "no such file any more"}.get(status)
        raise InputError(
            f"{self.download.address}: {reason or 'unexpected answer'} (HTTP status {status})",
            fix=f"try {self.download.elsewhere}",
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
                    fix="check the address",
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
            fix=f"{again}check the network and HTTPS_PROXY, or try {self.download.elsewhere}",
        )


def _starts_at(response: httpx.Response, place: int) -> bool:
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == place
