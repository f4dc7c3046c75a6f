"""Classify whole feeds: several processes, constant memory, results in input order, every record accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal, NamedTuple, TypeAlias

from ctiforge.classify.chunk_workers import Raw, map_chunks
from ctiforge.classify.classifier import DEFAULT_MODEL, Classifier
from ctiforge.classify.outputs import OutputOptions, Renderer, find_output
from ctiforge.classify.prediction import AbstainReason, Prediction
from ctiforge.core.advisory import Advisory, Reject, SourceRef
from ctiforge.sources.duplicates import DuplicateFilter, build_duplicate
from ctiforge.sources.read import RawRecord, ReadOptions, parse_record

__all__ = ["Answer", "ClassifierSettings", "FeedSummary", "classify_feed"]

_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """How to make the same `Classifier` in every process; see there."""

    model: str = DEFAULT_MODEL
    policy: str = "mitre"
    top_k: int = 5
    threshold: float | None = None
    explain: bool = True
    view: str | None = None
    similar: str | None = None
    similar_before: date | None = None

    def build(self) -> Classifier:
        """Load the classifier."""
        return Classifier(
            self.model,
            policy=self.policy,
            top_k=self.top_k,
            threshold=self.threshold,
            explain=self.explain,
            view=self.view,
            similar=self.similar,
            similar_before=self.similar_before,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """One classified record: the rendered text, and what a summary needs to know of it."""

    id: str
    text: str
    reason: AbstainReason | None


@dataclass(slots=True)
class FeedSummary:
    """What became of every record: ``answered + abstained + rejected`` is the number of records read."""

    answered: int = 0
    abstained: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """Classified records that the output format has no place for, by reason in words."""

    @property
    def records(self) -> int:
        """All records read."""
        return self.answered + self.abstained.total() + self.rejected.total()

    def count(self, result: Answer | Reject) -> None:
        """Count one result."""
        if isinstance(result, Reject):
            self.rejected[result.reason] += 1
        elif result.reason:
            self.abstained[result.reason] += 1
        else:
            self.answered += 1


class _Rendered(NamedTuple):
    """What the parent needs of a record that a worker rendered: a whole `Advisory` would take a tenth of the time to send."""

    id: str
    text: str
    reason: AbstainReason | None
    path: str
    line: int
    format: str
    member: str
    excerpt: str

    @property
    def advisory(self) -> Advisory:
        return Advisory(self.id, SourceRef(self.path, self.line, self.format, self.member), self.excerpt)


_Result: TypeAlias = _Rendered | tuple[Advisory, Prediction] | Reject
_Batch: TypeAlias = tuple[list[_Result], dict[str, int]]


def classify_feed(
    raws: Iterable[RawRecord | Reject],
    settings: ClassifierSettings,
    *,
    output: str,
    output_options: OutputOptions,
    read_options: ReadOptions | None = None,
    duplicates: Literal["reject", "keep"] = "reject",
    workers: int | None = None,
    summary: FeedSummary | None = None,
) -> Iterator[Answer | Reject]:
    """Parse, classify and render every raw record, in input order.

    Large feeds are worked on in `workers` processes; at most about a thousand records are in memory.

    Args:
        raws: what `ctiforge.sources.read.read_raw_records` yields; rejects pass through.
        output: name of an output format (`ctiforge.classify.outputs.OUTPUTS`). Its ``begin`` text comes with the first
            answer, and an `Answer` with an empty ID at the end carries its ``end`` text.
        duplicates: ``reject`` gives a `Reject` for every further record of an ID already seen.
        workers: number of processes; the number of cores if None.
        summary: counted into as results come, if given.

    Raises:
        CtiforgeError: a setting is wrong, or a worker process died.
    """
    options = read_options or ReadOptions()
    summary = summary if summary is not None else FeedSummary()
    form = find_output(output)
    renderer = form.renderer(output_options)
    batches = map_chunks(raws, _Work(settings, options, output if form.line_based else None, output_options), workers)
    seen = DuplicateFilter() if duplicates == "reject" else None
    pending = renderer.begin()
    for results, left_out in batches:
        summary.left_out.update(left_out)
        for result in results:
            answer = _answer(result, renderer, seen)
            summary.count(answer)
            if isinstance(answer, Answer) and pending:
                answer = replace(answer, text=pending + answer.text)
                pending = ""
            yield answer
    summary.left_out.update(renderer.left_out)
    yield Answer("", pending + renderer.end(), None)


def _answer(result: _Result, renderer: Renderer, seen: DuplicateFilter | None) -> Answer | Reject:
    if isinstance(result, _Rendered):
        if seen is None or seen.is_new(result.id):
            return Answer(result.id, result.text, result.reason)
        return build_duplicate(result.advisory)
    if isinstance(result, Reject):
        return result
    advisory, prediction = result
    if seen is None or seen.is_new(advisory.id):
        return Answer(advisory.id, renderer.render(prediction), prediction.reason)
    return build_duplicate(advisory)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a worker does to a chunk; small enough to send to a process."""

    settings: ClassifierSettings
    read_options: ReadOptions
    output: str | None
    """Format to render to in the worker, or None to send predictions back."""
    output_options: OutputOptions

    def build(self) -> _Worker:
        return _Worker(self)


class _Worker:
    def __init__(self, work: _Work) -> None:
        self._options = work.read_options
        self._classifier = work.settings.build()
        self._renderer: Renderer | None = find_output(work.output).renderer(work.output_options) if work.output else None

    def __call__(self, chunk: Sequence[Raw]) -> _Batch:
        records: list[Advisory | Reject] = []
        for raw in chunk:
            records += [raw] if isinstance(raw, Reject) else parse_record(raw, self._options)
        predictions = iter(self._classifier.classify(record for record in records if isinstance(record, Advisory)))
        before = self._renderer.left_out if self._renderer else {}
        results = [record if isinstance(record, Reject) else self._result(record, next(predictions)) for record in records]
        after = self._renderer.left_out if self._renderer else {}
        return results, {reason: n - before.get(reason, 0) for reason, n in after.items()}

    def _result(self, record: Advisory, prediction: Prediction) -> _Result:
        if self._renderer is None:
            return record, prediction
        source = record.source
        return _Rendered(
            record.id,
            self._renderer.render(prediction),
            prediction.reason,
            source.path,
            source.line,
            source.format,
            source.member,
            record.description[:_EXCERPT],
        )
