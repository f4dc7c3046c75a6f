"""Identifiers of catalogue objects in texts and addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.object_ids import find_object_ids, object_of_url


@pytest.mark.parametrize(
    ("url", "object_id"),
    [
        ("https://attack.mitre.org/techniques/T1548/", "T1548"),
        ("https://attack.mitre.org/techniques/T1548/001/", "T1548.001"),
        ("https://attack.mitre.org/groups/G0007", "G0007"),
        ("https://cwe.mitre.org/data/definitions/30.html", "CWE-30"),
        ("http://capec.mitre.org/data/definitions/85.html", "CAPEC-85"),
        ("Manual", ""),
    ],
)
def test_pages_name_objects(url: str, object_id: str) -> None:
    assert object_of_url(url) == object_id


def test_texts_name_objects_by_catalogue() -> None:
    assert find_object_ids("cwe-079 and CAPEC 66 by T1548.002") == ["T1548.002", "CWE-79", "CAPEC-66"]


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert isinstance(object_of_url(text), str)
    assert isinstance(find_object_ids(text), list)
