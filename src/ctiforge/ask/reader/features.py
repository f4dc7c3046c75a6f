"""Evidence as numbers: a row of features an option, none of which knows the option's letter or place.

Every feature is there three times: as it is, against the mean of the options, and against the best of the others.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ctiforge.ask.reader.cues import is_catch_all
from ctiforge.ask.reader.evidence import Evidence, OptionEvidence, best_places
from ctiforge.ask.reader.passage_terms import PassageTerms, coverage, pairs_of
from ctiforge.ask.reader.relations import graph_features

__all__ = ["FEATURES", "MEANING", "contrast", "read_features"]

Floats = npt.NDArray[np.float32]

_WORDS: Final = (
    "both", "option_twice", "question_twice", "product", "both_top3", "option_anywhere", "option_in_top10",
)  # fmt: skip
_CLOSE: Final = (
    "cover_fit", "cover_first", "cover_top3", "cover_top10", "cover_anywhere", "sentence_product", "sentence_sum",
    "sentence_fit", "pairs_fit", "pairs_anywhere", "heading_fit", "topic_cover",
)  # fmt: skip
_OBJECTS: Final = ("own_page", "own_page_rank", "own_page_meaning", "about_own", "about_own_of_named")
_GRAPH: Final = (
    "named_related", "named_asked", "named_listed", "named_listed_asked", "topic_related", "topic_asked", "topic_listed",
    "topic_listed_asked",
)  # fmt: skip
_PLAIN: Final = ("echo",)
_MEANING: Final = (
    "meaning_both", "meaning_both_top3", "meaning_sum", "meaning_option_in_top5", "meaning_likeness", "meaning_option",
    "meaning_first", "meaning_and_words", "meaning_gain",
    "closest_both",
    "closest_option",
    "closest_sum",
    "closest_gain",
)  # fmt: skip
_CATCH_ALL: Final = ("all_of_them", "none_of_them")
FEATURES: Final = (*_WORDS, *_CLOSE, *_OBJECTS, *_GRAPH, *_PLAIN, *_MEANING, *_CATCH_ALL)
MEANING: Final = frozenset(_MEANING) | {"own_page_meaning"}
"""Names of the features, in their order; those of `MEANING` are 0 without embeddings."""


def read_features(evidence: Evidence) -> Floats:
    """Return the features of every option, float32, shape (options, len(FEATURES)); those of `MEANING` may all be 0."""
    rows = [_option(evidence, option, i) for i, option in enumerate(evidence.options)]
    features = np.array(rows, dtype=np.float32).reshape(len(rows), len(FEATURES))
    catch_all = np.array([is_catch_all(option.text) for option in evidence.options], dtype=np.float32)
    if (single := catch_all == 0).any():  # what is true of all options together lies between them
        features[catch_all != 0] = features[single].mean(axis=0)
    features[:, FEATURES.index("all_of_them")] = catch_all > 0
    features[:, FEATURES.index("none_of_them")] = catch_all < 0
    return features


def contrast(features: Floats) -> Floats:
    """Return features as they are, against their mean, and against the best of the other options: shape (options, 3 n)."""
    if len(features) < 2:
        return np.concatenate([features, np.zeros_like(features), np.zeros_like(features)], axis=1)
    ordered = np.sort(features, axis=0)
    best_other = np.where(features >= ordered[-1], ordered[-2], ordered[-1])
    return np.concatenate([features, features - features.mean(axis=0), features - best_other], axis=1)


def _option(evidence: Evidence, option: OptionEvidence, place: int) -> list[float]:
    if is_catch_all(option.text):
        return [0.0] * len(FEATURES)
    return [
        *_words(evidence, option),
        *_close(evidence, option),
        *_objects(evidence, option),
        *graph_features(evidence, option),
        coverage(dict.fromkeys(option.terms, 1.0), evidence.terms),
        *(_meaning(evidence, option, place) if evidence.meaning is not None else [0.0] * len(_MEANING)),
        *[0.0] * len(_CATCH_ALL),
    ]


def _words(evidence: Evidence, option: OptionEvidence) -> list[float]:
    question, own = evidence.words, option.words
    scale = max(float(question.max(initial=0.0)), 1.0)
    both = question + own
    top = best_places(question, 10)
    peak = max(float(own.max(initial=0.0)), 1e-6)
    discounts = 1.0 / np.arange(2, len(top) + 2)
    return [
        float(both.max(initial=0.0)) / scale,
        float((question + 2 * own).max(initial=0.0)) / scale,
        float((2 * question + own).max(initial=0.0)) / scale,
        float(np.sqrt(question * own).max(initial=0.0)) / scale,
        _mean_of_best(both) / scale,
        float(own.max(initial=0.0)) / scale,
        float((own[top] / peak * discounts).sum()),
    ]


def _mean_of_best(scores: Floats, count: int = 3) -> float:
    count = min(count, len(scores))
    return float(np.partition(scores, -count)[-count:].mean()) if count else 0.0


def _close(evidence: Evidence, option: OptionEvidence) -> list[float]:
    pool = [(float(evidence.fit[place]), evidence.reader.read(int(evidence.allowed[place]))) for place in evidence.pool]
    pool.sort(key=lambda entry: -entry[0])
    if not pool:
        return [0.0] * len(_CLOSE)
    covers = [coverage(option.own, terms.whole) for _, terms in pool]
    wanted_pairs = dict.fromkeys(pairs_of(option.terms), 1.0)
    pairs = [coverage(wanted_pairs, terms.pairs) for _, terms in pool]
    sentences = [_sentences(evidence, option, terms) for _, terms in pool]
    fits = [fit for fit, _ in pool]
    topic = {term for _, terms in pool if terms.passage.object_id in evidence.topics[:2] for term in terms.whole}
    return [
        max(cover * fit for cover, fit in zip(covers, fits, strict=True)),
        covers[0],
        max(covers[:3]),
        sum(cover / (2 + rank) for rank, cover in enumerate(covers[:10])),
        max(covers),
        max(product for product, _, _ in sentences),
        max(total for _, total, _ in sentences),
        max(cover * fit**0.5 for (_, _, cover), fit in zip(sentences, fits, strict=True)),
        max(cover * fit for cover, fit in zip(pairs, fits, strict=True)),
        max(pairs),
        max(coverage(option.own, terms.heading) * fit for fit, terms in pool),
        coverage(option.own, topic),
    ]


def _sentences(evidence: Evidence, option: OptionEvidence, terms: PassageTerms) -> tuple[float, float, float]:
    """Return the best product, the best mean and the best cover of the option over the sentences of a passage.

    Words of the heading count half for the question: a sentence seldom repeats what it is about.
    """
    product = total = best = 0.0
    heading = coverage(evidence.terms, terms.heading)
    for sentence in terms.sentences:
        own = coverage(option.own, sentence)
        if not own:
            continue
        asked = min(1.0, coverage(evidence.terms, sentence) + 0.5 * heading)
        product, total, best = max(product, own * asked), max(total, (own + asked) / 2), max(best, own)
    return product, total, best


def _objects(evidence: Evidence, option: OptionEvidence) -> list[float]:
    """Return how well the page of the option's object fits the question, and passages that are about it."""
    fit = evidence.fit
    own = rank = meaning = 0.0
    for each in option.mentions[:4]:
        places = evidence.places_of(each)
        if not len(places) or each in evidence.named:
            continue
        best = float(fit[places].max())
        own = max(own, best)
        rank = max(rank, 1.0 / (1 + int((fit > best).sum())) ** 0.5)
        if evidence.meaning is not None:
            meaning = max(meaning, float(evidence.meaning[places].max()))
    wanted = set(option.mentions) - set(evidence.named)
    about = about_named = 0.0
    for place in evidence.pool if wanted else ():
        passage = evidence.reader.read(int(evidence.allowed[place])).passage
        if wanted.intersection(passage.object_ids):
            about = max(about, float(fit[place]))
            if passage.object_id in evidence.named or set(passage.related) & set(evidence.named):
                about_named = max(about_named, float(fit[place]))
    return [own, rank, meaning, about, about_named]


def _meaning(evidence: Evidence, option: OptionEvidence, place: int) -> list[float]:
    assert evidence.meaning is not None
    assert option.meaning is not None
    assert evidence.likeness is not None
    question, (both, own) = evidence.meaning, option.meaning
    top = best_places(question, 5)
    words = evidence.words + option.words
    return [
        float(both.max()),
        _mean_of_best(both),
        float((question + own).max()) / 2,
        float(own[top].max(initial=0.0)),
        float(evidence.likeness[place]),
        float(own.max()),
        float(own[top[0]]) if len(top) else 0.0,
        float((words / max(float(words.max()), 1e-6) + both).max()),
        float(both.max()) - float(question.max()),
        *_closest(evidence, place),
    ]


def _closest(evidence: Evidence, place: int) -> list[float]:
    """Return how close single sentences come to question and option together, to the option, to each by half, and by how
    much closer the option brings the question."""
    assert evidence.closest is not None
    count = len(evidence.options)
    question, both, own = evidence.closest[0], evidence.closest[1 + place], evidence.closest[1 + count + place]
    return [float(both.max()), float(own.max()), float((question + own).max()) / 2, float((both - question).max())]
