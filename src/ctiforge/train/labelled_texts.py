"""Labelled texts that come as instruction pairs, as training files of language models do: a prompt that holds the description
of a CVE, an answer that ends with the CWE."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from ctiforge.core.advisory import Reject
from ctiforge.core.ids import find_cwe_ids
from ctiforge.sources.read import read_raw_records

__all__ = ["LabelledText", "read_labelled_texts"]


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A description without a CVE ID, and the CWE ID that the answer ends with."""

    text: str
    cwe_id: str


def read_labelled_texts(
    path: str | os.PathLike[str], *, prompt_field: str, answer_field: str, text_after: str
) -> Iterator[LabelledText | Reject]:
    """Yield the labelled texts of a JSON or JSONL file (compressed or not), and a `Reject` for each record without one.

    Args:
        prompt_field, answer_field: names of the two strings in each object.
        text_after: the description is what follows the first occurrence of this in the prompt.
    """
    for raw in read_raw_records([os.fspath(path)]):
        if isinstance(raw, Reject):
            yield raw
            continue
        record = orjson.loads(raw.payload) if isinstance(raw.payload, bytes) else raw.payload
        prompt, answer = (str(record.get(name) or "") for name in (prompt_field, answer_field))
        _, found, text = prompt.partition(text_after)
        cwe_ids = find_cwe_ids(answer)
        if found and text.strip() and cwe_ids:
            yield LabelledText(text.strip(), cwe_ids[-1])
        else:
            what, where = ("CWE ID", answer_field) if found and text.strip() else ("description", prompt_field)
            yield Reject(raw.source, "missing_field", f"no {what} in {where!r}")
