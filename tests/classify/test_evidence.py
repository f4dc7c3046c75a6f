from __future__ import annotations

from ctiforge.classify.evidence import evidence_spans
from ctiforge.models.cwe_model import Contribution, Contributions

TEXT = "heap buffer overflow while parsing a header"


def parts(**values: float) -> Contributions:
    """Contributions of parts of TEXT, named with underscores for spaces."""
    words = {name.replace("_", " "): value for name, value in values.items()}
    found = [Contribution(TEXT.index(word), TEXT.index(word) + len(word), value) for word, value in words.items()]
    return Contributions(sum(values.values()), found)


def test_overlapping_parts_become_one_span_and_weights_are_shares() -> None:
    spans = evidence_spans(TEXT, parts(heap=1, buffer=2, buffer_overflow=4, overflow=2, header=1))
    assert [(span.text, span.weight) for span in spans] == [("heap buffer overflow", 0.9), ("header", 0.1)]


def test_nothing_that_speaks_for_it_is_no_evidence() -> None:
    assert evidence_spans(TEXT, Contributions(0.0, [])) == ()


def test_at_most_three_spans_strongest_first() -> None:
    spans = evidence_spans(TEXT, parts(heap=1, overflow=5, parsing=3, header=4))
    assert [span.text for span in spans] == ["overflow", "header", "parsing"]
