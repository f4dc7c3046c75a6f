"""The files of a corpus: JSON Lines as prompt and completion and as chat messages, Parquet, rejections, conflicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ctiforge.core.files import atomic_writer
from ctiforge.corpus.lines import encode_line
from ctiforge.corpus.record import CorpusRecord

__all__ = ["PARQUET_MISSING", "SPLITS", "chat_row", "prompt_row", "write_lines", "write_splits"]

SPLITS = ("train", "development")
PARQUET_MISSING = "pyarrow is not installed: pip install 'ctiforge[corpus]'"


def prompt_row(record: CorpusRecord) -> dict[str, Any]:
    """Return the row of a record in the prompt and completion files: all of it but `text`, which the prompt has."""
    row = asdict(record)
    del row["text"]
    row["steps"] = list(record.steps)
    return row


def chat_row(record: CorpusRecord, system_prompt: str = "") -> dict[str, Any]:
    """Return the row of a record in the chat files."""
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    turns = [{"role": "user", "content": record.prompt}, {"role": "assistant", "content": record.completion}]
    return {"id": record.id, "messages": [*system, *turns]}


def write_lines(path: Path, rows: Iterable[bytes | Mapping[str, Any]]) -> int:
    """Write rows as JSON Lines, atomically, and return their number."""
    count = 0
    with atomic_writer(path) as stream:
        for row in rows:
            stream.write(row if isinstance(row, bytes) else encode_line(row))
            count += 1
    return count


def write_splits(folder: Path, records: Sequence[CorpusRecord], system_prompt: str) -> dict[str, int]:
    """Write the files of both splits and return their rows; Parquet is left out where pyarrow is not installed."""
    written: dict[str, int] = {}
    for split in SPLITS:
        chosen = [record for record in records if split in record.steps]
        written[f"{split}.jsonl"] = write_lines(folder / f"{split}.jsonl", map(prompt_row, chosen))
        chat = (chat_row(record, system_prompt) for record in chosen)
        written[f"{split}.chat.jsonl"] = write_lines(folder / f"{split}.chat.jsonl", chat)
        if find_spec("pyarrow"):
            _write_parquet(folder / f"{split}.parquet", chosen, system_prompt)
            written[f"{split}.parquet"] = len(chosen)
        else:
            (folder / f"{split}.parquet").unlink(missing_ok=True)  # of an earlier build; it would be another corpus
    return written


def _write_parquet(path: Path, records: Sequence[CorpusRecord], system_prompt: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = ("id", "kind", "generator", "prompt", "completion", "label", "source_id", "source", "source_sha256", "licence")
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    fields = [(name, pa.string()) for name in (*text, "party", "date")]
    fields += [("steps", pa.list_(pa.string())), ("metadata", pa.string()), ("messages", pa.list_(message))]
    with atomic_writer(path) as stream:
        pq.write_table(pa.Table.from_pylist(list(_parquet_rows(records, system_prompt)), pa.schema(fields)), stream)


def _parquet_rows(records: Iterable[CorpusRecord], system_prompt: str) -> Iterator[dict[str, Any]]:
    for record in records:
        row = prompt_row(record)
        row["metadata"] = json.dumps(record.metadata, ensure_ascii=False, sort_keys=True)
        yield row | {"messages": chat_row(record, system_prompt)["messages"]}
