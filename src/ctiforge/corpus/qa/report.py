"""What was generated: counts by generator, gold letters, lengths, and what a generator could not deliver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from ctiforge.corpus.qa.settings import FormCounts, QaSettings
from ctiforge.corpus.record import CorpusRecord

__all__ = ["CHI_SQUARE_5_PERCENT", "GeneratorCount", "QaReport", "build_qa_report", "render_qa_report"]

CHI_SQUARE_5_PERCENT: Final = 7.815
"""Critical value of chi-square with 3 degrees of freedom at 5 %; letters above it are called uneven."""


@dataclass(frozen=True, slots=True)
class GeneratorCount:
    """What one generator delivered of what was asked of it."""

    name: str
    choice: int
    short: int
    asked: FormCounts
    subjects: int

    @property
    def missing(self) -> int:
        """How many records it had no facts for."""
        return max(0, self.asked.choice - self.choice) + max(0, self.asked.short - self.short)


@dataclass(frozen=True, slots=True)
class QaReport:
    """Figures of one run.

    Attributes:
        letters: gold letters of the multiple-choice records; `chi_square` against equal shares (3 degrees of freedom).
        characters: mean length of question with options, and of completions, by form.
    """

    generators: tuple[GeneratorCount, ...]
    total: int
    subjects: int
    letters: Mapping[str, int]
    chi_square: float
    characters: Mapping[str, tuple[float, float]]

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {**asdict(self), "letters": dict(self.letters), "characters": {k: list(v) for k, v in self.characters.items()}}


def build_qa_report(records: Iterable[CorpusRecord], settings: QaSettings) -> QaReport:
    """Count what `generate_qa` made with these settings; records of other kinds are passed over."""
    made: Counter[tuple[str, str]] = Counter()
    subjects: dict[str, set[str]] = {}
    letters: Counter[str] = Counter(dict.fromkeys("ABCD", 0))
    lengths: dict[str, list[tuple[int, int]]] = {}
    for record in records:
        if record.kind != "qa" or "form" not in record.metadata:
            continue
        name, form = record.generator.partition("/")[2], str(record.metadata["form"])
        made[name, form] += 1
        subjects.setdefault(name, set()).add(record.source_id)
        lengths.setdefault(form, []).append((len(record.text), len(record.completion)))
        if form == "choice":
            letters[record.label] += 1
    total = letters.total()
    return QaReport(
        generators=tuple(
            GeneratorCount(name, made[name, "choice"], made[name, "short"], asked, len(subjects.get(name, ())))
            for name, asked in settings.counts.items()
        ),
        total=sum(made.values()),
        subjects=len(set().union(*subjects.values())),
        letters=dict(sorted(letters.items())),
        chi_square=sum((count - total / 4) ** 2 / (total / 4) for count in letters.values()) if total else 0.0,
        characters={
            form: (sum(q for q, _ in pairs) / len(pairs), sum(a for _, a in pairs) / len(pairs))
            for form, pairs in sorted(lengths.items())
        },
    )


def render_qa_report(report: QaReport) -> str:
    """Return the report as Markdown."""
    shares = ", ".join(f"{letter} {count:,}" for letter, count in report.letters.items())
    even = "even" if report.chi_square <= CHI_SQUARE_5_PERCENT else "uneven"
    lines = [
        f"{report.total:,} records about {report.subjects:,} objects.",
        "",
        f"Gold letters: {shares} (chi-square {report.chi_square:.2f} with 3 degrees of freedom: {even}).",
        "",
        "| form | mean characters of the question | of the answer |",
        "|---|---|---|",
        *(f"| {form} | {question:.0f} | {answer:.0f} |" for form, (question, answer) in report.characters.items()),
        "",
        "| generator | multiple choice | short answer | objects | missing |",
        "|---|---|---|---|---|",
        *(
            f"| {each.name} | {each.choice} | {each.short} | {each.subjects} | {each.missing or ''} |".replace("|  |", "| |")
            for each in report.generators
        ),
    ]
    return "\n".join(lines) + "\n"
