"""Where the splitter looks for the next record after damage, and where it must not."""

from __future__ import annotations

import orjson
import pytest

from ctiforge.sources.json_resync import may_hold_object
from ctiforge.sources.json_split import JsonPiece, split_json

ALIKE = [{"id": number, "description": "d", "related": [{"id": 0, "description": "r", "related": []}]} for number in range(400)]


def cut(data: bytes, size: int) -> list[JsonPiece]:
    return list(split_json((data[at : at + size] for at in range(0, len(data), size)), 2**20))


@pytest.mark.parametrize("size", [1, 7, 100, 2**18])
def test_nested_objects_that_look_like_records_stay_where_they_are(size: int) -> None:
    pieces = cut(orjson.dumps(ALIKE[:40]), size)
    assert [orjson.loads(piece.data) for piece in pieces] == ALIKE[:40]


@pytest.mark.parametrize("damage", [(b'"d"', b'"\xff"'), (b'"d"', b'"\x01"'), (b'"d"', b"NaN")])
def test_a_record_that_does_not_parse_stays_whole_around_its_nested_objects(damage: tuple[bytes, bytes]) -> None:
    elements = [orjson.dumps(one) for one in ALIKE[:3]]
    elements[1] = elements[1].replace(*damage)
    pieces = cut(b"[" + b",".join(elements) + b"]", 2**18)
    assert [piece.data for piece in pieces] == elements


@pytest.mark.parametrize("size", [1, 7, 100, 2**18])
def test_damage_is_noticed_long_before_the_input_ends(size: int) -> None:
    """A lost brace early in a long array: records after it come out before the rest is read."""
    elements = [orjson.dumps({"id": number, "description": "d" * 50}) for number in range(3_000)]
    elements[2] = elements[2][:-1]
    data = b"[" + b",".join(elements) + b"]"
    read = 0

    def blocks() -> object:
        nonlocal read
        for at in range(0, len(data), size):
            read = at + size
            yield data[at : at + size]

    for piece in split_json(blocks(), 2**20):  # type: ignore[arg-type]
        if piece.kind == "record" and orjson.loads(piece.data)["id"] == 3:
            break
    assert read <= max(size, 10_000)


def test_one_quote_too_many_costs_one_record_of_many() -> None:
    elements = [orjson.dumps({"id": number, "description": "d {[x]} " * 9}) for number in range(5_000)]
    elements[1_000] = elements[1_000].replace(b"d {", b'd" {', 1)
    pieces = cut(b"[" + b",".join(elements) + b"]", 2**16)
    assert [piece.data for piece in pieces if piece.kind == "record"] == elements[:1_000] + elements[1_001:]
    assert [piece.kind for piece in pieces].count("broken") == 1


def test_a_damaged_head_does_not_hide_the_records() -> None:
    data = b'{"format": "NVD, "vulnerabilities": [{"cve": {"id": "CVE-2099-1000", "descriptions": []}}], "z": 1}'
    assert [piece.kind for piece in cut(data, 9)] == ["broken", "record"]


def test_an_array_closed_too_early_goes_on() -> None:
    data = b'{"CVE_Items": [{"id": 1}], {"id": 2}, {"id": 3}], "z": {"id": 4}}'
    assert [piece.data for piece in cut(data, 9)] == [b'{"id": 1}', b'{"id": 2}', b'{"id": 3}']


@pytest.mark.parametrize(
    ("before", "allowed"),
    [
        (b'{"a": ', True),
        (b'{"a": [', True),
        (b'{"a": [1, ', True),
        (b'{"a": {"b": 1}, ', False),
        (b'{"a": "text ', False),
        (b'{"a": [1 ', False),
        (b'{"a": [{"b": "]"}, ', True),
    ],
)
def test_where_json_allows_an_object(before: bytes, allowed: bool) -> None:
    assert may_hold_object(before) is allowed
