"""Field maps and options as a user types them."""

from __future__ import annotations

import pytest

from ctiforge.core.errors import InputError
from ctiforge.sources.options import FieldMap, ReadOptions


def test_a_map_is_parsed() -> None:
    assert dict(FieldMap.parse(" id = URL ,description=cve.text").fields) == {"id": "URL", "description": "cve.text"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("descripton=Text", "did you mean 'description'"),
        ("id", "has no '='"),
        ("", "has no '='"),
        ("id=", "mapped to nothing"),
        ("id=a,id=b", "given twice"),
        ("=x", "not a field"),
    ],
)
def test_nonsense_in_a_map_is_explained(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        FieldMap.parse(text)
    assert caught.value.fix


def test_an_unknown_format_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'jsonl'"):
        ReadOptions(format="jsonlines")
