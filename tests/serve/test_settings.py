from __future__ import annotations

from pathlib import Path

import pytest

from ctiforge.core.errors import InputError, SettingError
from ctiforge.serve.settings import ServeSettings, is_loopback

KEYS = Path("keys.json")


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("host.example", False),
    ],
)
def test_which_addresses_only_this_machine_reaches(host: str, wanted: bool) -> None:
    assert is_loopback(host) is wanted


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (ServeSettings(host="0.0.0.0"), "no API keys"),
        (ServeSettings(host="0.0.0.0", behind_tls_proxy=True), "no API keys"),
        (ServeSettings(host="0.0.0.0", keys=KEYS), "in the clear"),
        (ServeSettings(tls_cert=KEYS), "certificate and its key"),
    ],
)
def test_what_would_lay_the_queue_open_is_refused(settings: ServeSettings, reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        settings.check()


def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        ServeSettings(tls_cert=tmp_path / "a.pem", tls_key=tmp_path / "b.pem").check()


def test_what_is_safe_passes() -> None:
    ServeSettings().check()
    ServeSettings(host="0.0.0.0", keys=KEYS, behind_tls_proxy=True).check()
