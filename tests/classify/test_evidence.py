from __future__ import annotations

import numpy as np

from ctiforge.classify.evidence import evidence_spans
from ctiforge.models.linear import Features
from ctiforge.models.text_features import ngrams, tokenize

TEXT = "heap buffer overflow while parsing a header"


def features(*grams: str) -> Features:
    words, spans = tokenize(TEXT)
    places = np.array([ngrams(words, 2).index(gram) for gram in grams], dtype=np.int64)
    n = len(grams)
    return Features(np.array([0, n]), np.arange(n), np.ones(n, dtype=np.float32), places, np.array([n]), [spans])


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_overlapping_ngrams_become_one_span_and_weights_are_shares() -> None:
    found = features("heap", "buffer", "buffer overflow", "overflow", "header")
    spans = evidence_spans(TEXT, 0, found, array(1, 2, 4, 2, 1))
    assert [(span.text, span.weight) for span in spans] == [("heap buffer overflow", 0.9), ("header", 0.1)]


def test_what_spoke_against_is_no_evidence() -> None:
    spans = evidence_spans(TEXT, 0, features("heap", "header"), array(-3, 0.5))
    assert [(span.text, span.weight) for span in spans] == [("header", 1.0)]
    assert evidence_spans(TEXT, 0, features("heap"), array(-1)) == ()
    assert evidence_spans(TEXT, 0, features(), array()) == ()


def test_at_most_three_spans_strongest_first() -> None:
    spans = evidence_spans(TEXT, 0, features("heap", "overflow", "pars", "header"), array(1, 5, 3, 4))
    assert [span.text for span in spans] == ["overflow", "header", "parsing"]
