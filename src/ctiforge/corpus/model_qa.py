"""Questions written by a model about CVE records: each answer is checked against the record, and the provenance is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ctiforge.core.errors import InputError
from ctiforge.core.files import sha256
from ctiforge.core.ids import find_cve_ids, find_cwe_ids
from ctiforge.core.messages import ChatMessage
from ctiforge.corpus.cwe_phrases import content_stems
from ctiforge.corpus.lines import reject_record
from ctiforge.corpus.recipe import ModelQa
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.selection import draw_key
from ctiforge.corpus.stages import StageWriter
from ctiforge.models.generation import Generation, GenerationRequest, TextModel
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["AnswerFault", "ModelSource", "WrittenQuestion", "ask_model", "check_answer", "shown_record"]

_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
_OTHER_IDS = re.compile(r"\b(?:CAPEC-\d+|T\d{4}(?:\.\d{3})?|GHSA(?:-\w{4}){3})\b")
_NUMBER = re.compile(r"\d[\w.]*")
_AT_ONCE = 8
_LONGEST_ANSWER = 600


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model to ask. `identity` is its address and name: with the same one, questions asked before are not asked again."""

    identity: str
    open: Callable[[], TextModel]


@dataclass(frozen=True, slots=True)
class WrittenQuestion:
    """What the model wrote about a record, checked. `quote` stands in the record word for word."""

    question: str
    answer: str
    quote: str


@dataclass(frozen=True, slots=True)
class AnswerFault:
    """Why an answer is not used: a code, and the same for a person."""

    reason: str
    detail: str


def shown_record(record: CorpusRecord, catalogue: CweCatalogue) -> str:
    """Return what the model is shown of a record, and what its answers are checked against."""
    return f"{record.source_id}\nWeakness: {record.label} {catalogue[record.label].name}\nDescription: {record.text}"


def check_answer(completion: str, shown: str, min_support: float) -> WrittenQuestion | AnswerFault:
    """Return the question in a completion if the record bears it out.

    Asked of it: a JSON object with ``question``, ``answer`` and ``quote``; the quote is in the record; every identifier and
    number of question and answer is in the record; of the answer's content words, at least the share `min_support` is; the
    question does not hold the answer.
    """
    written = _parse(completion)
    if isinstance(written, AnswerFault):
        return written
    plain = _plain(shown)
    if _plain(written.quote) not in plain:
        return AnswerFault("quote_not_in_record", f"{written.quote[:80]!r} is not in the record")
    said = f"{written.question} {written.answer}"
    if unknown := sorted(_identifiers(said) - _identifiers(shown)):
        return AnswerFault("unknown_identifier", f"{', '.join(unknown)}: not in the record")
    if unknown := sorted(_numbers(said) - _numbers(shown)):
        return AnswerFault("unknown_number", f"{', '.join(unknown)}: not in the record")
    stems = content_stems(written.answer)
    supported = len(stems & content_stems(shown)) / len(stems) if stems else 0.0
    if supported < min_support:
        return AnswerFault("unsupported_answer", f"{supported:.2f} of the answer's words are in the record, not {min_support}")
    if _plain(written.answer) in _plain(written.question):
        return AnswerFault("answer_in_question", "the question holds the answer")
    return written


def _parse(completion: str) -> WrittenQuestion | AnswerFault:
    found = _OBJECT.search(completion)
    try:
        value = orjson.loads(found[0]) if found else None
    except orjson.JSONDecodeError as error:
        return AnswerFault("not_json", str(error))
    if not isinstance(value, dict):
        return AnswerFault("not_json", "no JSON object in the answer")
    parts = [value.get(name) for name in ("question", "answer", "quote")]
    texts = [part.strip() for part in parts if isinstance(part, str) and part.strip()]
    if len(texts) < 3:
        return AnswerFault("missing_field", "question, answer and quote must be texts")
    if len(texts[1]) > _LONGEST_ANSWER:
        return AnswerFault("answer_too_long", f"{len(texts[1])} characters, more than {_LONGEST_ANSWER}")
    return WrittenQuestion(*texts)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .\"'")


def _identifiers(text: str) -> set[str]:
    return {*find_cve_ids(text), *find_cwe_ids(text), *_OTHER_IDS.findall(text)}


def _numbers(text: str) -> set[str]:
    return {number.rstrip(".") for number in _NUMBER.findall(text)}


def ask_model(
    writer: StageWriter,
    records: Sequence[CorpusRecord],
    settings: ModelQa,
    source: ModelSource,
    seed: int,
    catalogue: CweCatalogue,
    answers: Path,
) -> None:
    """Ask about a draw of the CVE-to-CWE records, and keep the questions that pass `check_answer`.

    Args:
        answers: JSON Lines of what the model answered, appended as it comes: what is there is not asked again.

    Raises:
        InputError: not one request was answered, or `answers` cannot be written.
        ModelError: the model cannot be reached or loaded.
    """
    labelled = [record for record in records if record.kind == "rcm"]
    drawn = sorted(labelled, key=lambda record: draw_key(seed, "model_qa", record.id))[: settings.records]
    shown = {record.id: shown_record(record, catalogue) for record in drawn}
    prompts = {record.id: settings.instruction.format(record=shown[record.id]) for record in drawn}
    memory = _Memory(answers, source.identity, settings, seed)
    info = asyncio.run(_ask_all(writer, list(prompts.values()), settings, source, seed, memory))
    if drawn and not any(memory.get(prompt) for prompt in prompts.values()):
        raise InputError(f"{source.identity}: none of {len(drawn)} requests was answered", fix="see that the endpoint works")
    for record in drawn:
        completion = memory.get(prompts[record.id])
        if completion is None:
            writer.reject(reject_record(record, writer.name, "not_answered", "the request failed; the next build asks again"))
            continue
        checked = check_answer(completion, shown[record.id], settings.min_support)
        if isinstance(checked, AnswerFault):
            writer.reject(reject_record(record, writer.name, checked.reason, checked.detail))
            continue
        told = {"request": memory.key(prompts[record.id]), "response_sha256": sha256(completion.encode())}
        writer.keep(_record(record, checked, settings, info | told))


def _record(about: CorpusRecord, written: WrittenQuestion, settings: ModelQa, model: Mapping[str, Any]) -> CorpusRecord:
    return CorpusRecord(
        id=f"qa/model/{about.source_id}/{model['request'][:12]}",
        kind="qa",
        generator="qa/model",
        prompt=f"{about.text}\n\n{written.question}",
        completion=written.answer,
        text=f"{about.text}\n{written.question}",
        label="",
        source_id=about.source_id,
        source=about.source,
        source_sha256=about.source_sha256,
        licence=settings.licence,
        date=about.date,
        steps=("ask model", "check answer"),
        metadata={"quote": written.quote, "model": dict(model), "source_licence": about.licence},
    )


class _Memory:
    """Answers by request, on disk as they come."""

    def __init__(self, path: Path, identity: str, settings: ModelQa, seed: int) -> None:
        self._path = path
        self._basis = [identity, settings.temperature, settings.max_tokens, seed]
        self._known: dict[str, str] = {}
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            try:
                row = orjson.loads(line)
                self._known[row["request"]] = row["completion"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                continue  # a line that was cut off when the build was killed

    def key(self, prompt: str) -> str:
        return sha256(orjson.dumps([*self._basis, prompt]))

    def get(self, prompt: str) -> str | None:
        return self._known.get(self.key(prompt))

    def add(self, prompt: str, completion: str) -> None:
        key = self.key(prompt)
        self._known[key] = completion
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as stream:
            stream.write(b"\n" * bool(stream.tell()) + orjson.dumps({"request": key, "completion": completion}))


async def _ask_all(
    writer: StageWriter, prompts: Sequence[str], settings: ModelQa, source: ModelSource, seed: int, memory: _Memory
) -> dict[str, Any]:
    """Ask what is not known yet, a few at a time, and return what the model says of itself."""
    model = source.open()
    turn = asyncio.Semaphore(_AT_ONCE)
    waiting = [prompt for prompt in prompts if memory.get(prompt) is None]
    done = len(prompts) - len(waiting)

    async def ask(prompt: str) -> None:
        nonlocal done
        message = (ChatMessage("user", prompt),)
        async with turn:
            request = GenerationRequest(message, temperature=settings.temperature, max_tokens=settings.max_tokens, seed=seed)
            answer: Generation = await model.generate(request)
        if answer.error is None and answer.finish_reason != "error":
            memory.add(prompt, answer.text)
        done += 1
        writer.progress(done, len(prompts))

    try:
        info = await model.info()
        await asyncio.gather(*(ask(prompt) for prompt in waiting))
    finally:
        await model.close()
    return {"name": info.name, "backend": info.backend, "digest": info.digest, "endpoint": info.endpoint}
