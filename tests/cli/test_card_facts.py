"""A card's records and files are those of its model, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from ctiforge.cli.card_facts import check_belonging
from ctiforge.core.errors import InputError

TRAINING = {"adapter_sha256": "a" * 64}
MERGED = {"adapter": {"sha256": "a" * 64}, "digest": "b" * 64}
GGUF: dict[str, Any] = {"source": {"digest": "b" * 64}, "files": [{"name": "m-Q8_0.gguf", "sha256": "c" * 64}]}


def record(digest: str) -> dict[str, Any]:
    return {"model": {"name": "m", "digest": digest}}


def test_what_belongs_together_is_taken() -> None:
    check_belonging(TRAINING, None, None, [])
    check_belonging(TRAINING, MERGED, None, [record("b" * 64)])
    check_belonging(TRAINING, MERGED, GGUF, [record("b" * 64), record("c" * 64)])
    check_belonging(TRAINING, None, GGUF, [record("c" * 64)])


@pytest.mark.parametrize(
    ("merged", "gguf", "records", "said"),
    [
        (MERGED | {"adapter": {"sha256": "x" * 64}}, None, [], "merged model has adapter xxxx"),
        (MERGED, GGUF | {"source": {"digest": "y" * 64}}, [], "were made of yyyy"),
        (MERGED, GGUF, [record("z" * 64)], "none of the merged model, m-Q8_0.gguf"),
        (None, None, [record("b" * 64)], "nothing to tell whose they are"),
    ],
)
def test_what_is_of_another_model_is_refused(merged: Any, gguf: Any, records: Any, said: str) -> None:
    with pytest.raises(InputError) as error:
        check_belonging(TRAINING, merged, gguf, records)
    assert said in str(error.value)
