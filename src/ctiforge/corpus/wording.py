"""Prompts and completions of CVE-to-CWE records, in the wordings of the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ctiforge.corpus.recipe import Instruction, Rcm, Reason
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.selection import draw_key
from ctiforge.corpus.stages import StageWriter
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["choose_weighted", "word_records"]

Weighted = TypeVar("Weighted", Instruction, Reason)


def choose_weighted(options: Sequence[Weighted], key: str) -> tuple[int, Weighted]:
    """Return one of the options and its place, drawn by weight from a hexadecimal key."""
    place = int(key[:16], 16) / 16**16 * sum(option.weight for option in options)
    for i, option in enumerate(options):
        place -= option.weight
        if place < 0:
            return i, option
    return len(options) - 1, options[-1]


def word_records(
    writer: StageWriter, records: Iterable[CorpusRecord], rcm: Rcm | None, seed: int, catalogue: CweCatalogue
) -> None:
    """Give each CVE-to-CWE record a prompt, and a completion: the reason with the phrase, a blank line, the ID alone."""
    for record in records:
        writer.keep(_worded(record, rcm, seed, catalogue) if rcm and record.kind == "rcm" else record)


def _worded(record: CorpusRecord, rcm: Rcm, seed: int, catalogue: CweCatalogue) -> CorpusRecord:
    number, instruction = choose_weighted(rcm.instructions, draw_key(seed, "instruction", record.id))
    metadata: dict[str, Any] = {**record.metadata, "instruction": number}
    name, phrase = catalogue[record.label].name, metadata.get("phrase", "")
    reasons = rcm.reasons if phrase else rcm.reasons_without_phrase
    metadata["reason"], reason = choose_weighted(reasons, draw_key(seed, "reason", record.id))
    justification = reason.text.format(phrase=phrase, name=name).strip()
    return replace(
        record,
        prompt=instruction.text.format(description=record.text).strip(),
        completion=f"{justification}\n\n{record.label}",
        metadata=metadata,
        steps=(*record.steps, f"instruction {number}"),
    )
