from __future__ import annotations

import numpy as np

from ctiforge.classify.evidence import evidence_spans

TEXT = "heap buffer overflow while parsing a header"


def test_overlapping_ngrams_become_one_span_and_weights_are_shares() -> None:
    places = [(0, 4), (5, 11), (5, 20), (12, 20), (37, 43)]
    spans = evidence_spans(TEXT, places, np.array([1.0, 2.0, 4.0, 2.0, 1.0]))
    assert [(span.text, span.weight) for span in spans] == [("heap buffer overflow", 0.9), ("header", 0.1)]


def test_what_spoke_against_is_no_evidence() -> None:
    spans = evidence_spans(TEXT, [(0, 4), (37, 43)], np.array([-3.0, 0.5]))
    assert [(span.text, span.weight) for span in spans] == [("header", 1.0)]
    assert evidence_spans(TEXT, [(0, 4)], np.array([-1.0])) == ()
    assert evidence_spans(TEXT, [], np.array([])) == ()


def test_at_most_three_spans_strongest_first() -> None:
    places = [(0, 1), (5, 6), (12, 13), (21, 22), (27, 28)]
    spans = evidence_spans(TEXT, places, np.array([1.0, 5.0, 3.0, 4.0, 2.0]))
    assert [span.start for span in spans] == [5, 21, 12]
