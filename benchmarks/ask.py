"""Grounded answers: citations, exactness, questions that must not be answered, and the time from question to answer.

    python benchmarks/ask.py --kb DIR [--no-embeddings] [--out FILE]
    python benchmarks/ask.py --kb DIR --calibrate

200 questions are made from the knowledge base (`ask_questions.py`), all kinds of questions and free text, and answered with
the index loaded. Each sentence is checked against what it cites, by code that shares nothing with the answers': every
identifier and number in it, and its words but for those of the frame ('is mitigated by'), must stand in the cited passages or
objects. A structured answer must list exactly what the graph holds. As a control each sentence is checked against the
citations of another as well. `--calibrate` prints how many questions from other seeds and how many off the subject would be
answered at each threshold; the questions that are measured are not used for it, and of those off the subject every second.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ask_questions import OFF_TOPIC, AskedQuestion, generate_questions
from machine import describe_machine

from ctiforge.ask import Answer, Answerer, AnswerSentence, KnowledgeBase, Scope
from ctiforge.ask.answering import LEAST_SCORE
from ctiforge.ask.extractive import find_evidence
from ctiforge.core.files import write_json
from ctiforge.core.metrics import wilson_interval

COUNT, SEED, CALIBRATION_SEED = 200, 2027, 7
HELD = 0.9
"""Share of a sentence's words that what it cites must hold, if all its identifiers and numbers do."""

_WORD = re.compile(r"[a-z][a-z'-]+")
_EXACT = re.compile(r"\b(?:(?:TA|DET|DS|DC|AN|[TSGMCA])\d{4}(?:\.\d{3})?|CWE-\d+|CAPEC-\d+|CVE-\d{4}-\d+|\d[\d.]*\d|\d)\b")
_MORE = re.compile(r"; and [\d,]+ more")
_FRAME = frozenset(
    "att ck is are was were be been by the a an and of in on to with that those both has have had can may used uses use "
    "mitigated mitigates "
    "detected detects detect from belongs belong sub-technique sub-techniques corresponds correspond exploited "
    "exploits exploit targets "
    "targeted attributed behind child children parent helps reads read applies also called precede follow requires "
    "peer weakness "
    "weaknesses attack pattern patterns technique techniques tactic tactics platform platforms abstraction mapping "
    "usage likelihood "
    "severity typical seen observed example introduced first last added its source published known since an cwe "
    "capec cve".split()
)


def main() -> None:
    """Measure and write the result, or calibrate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", type=Path, required=True, help="knowledge base of ATT&CK, CAPEC and CWE")
    parser.add_argument("--no-embeddings", action="store_true", help="words only")
    parser.add_argument("--calibrate", action="store_true", help="print scores for choosing the threshold")
    parser.add_argument("--show", type=int, metavar="N", help="print every Nth question with its answer, for reading")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "ask.json")
    arguments = parser.parse_args()
    base = KnowledgeBase.load(arguments.kb, embeddings=not arguments.no_embeddings)
    if arguments.calibrate:
        calibrate(base)
        return
    answerer = Answerer(base)
    questions = generate_questions(base, COUNT, SEED)
    answers, seconds = ask_all(answerer, questions)
    result = {
        "machine": describe_machine(),
        "sources": [{"name": each.name, "version": each.version, "sha256": each.sha256} for each in base.versions],
        "embeddings": base.has_embeddings,
        "questions": len(questions),
        "seed": SEED,
        "threshold": LEAST_SCORE,
        "answered": dict(Counter(answer.status for answer in answers)),
        "citations": check_citations(base, answers),
        "structured": check_structured(questions, answers),
        "free_text": check_free_text(base, questions, answers),
        "off_topic": check_off_topic(answerer),
        "time": describe_times(seconds),
    }
    if arguments.show:
        show(questions, answers, arguments.show)
        return
    write_json(arguments.out, result)
    print(json.dumps(result, indent=2))


def ask_all(answerer: Answerer, questions: Sequence[AskedQuestion]) -> tuple[list[Answer], list[float]]:
    """Return the answers and how long each took, in seconds; one question before them warms the index up."""
    answerer.answer("how do adversaries dump credentials from memory")
    answers, seconds = [], []
    for question in questions:
        started = time.perf_counter()
        answers.append(answerer.answer(question.text))
        seconds.append(time.perf_counter() - started)
    return answers, seconds


def cited_text(base: KnowledgeBase, cites: Sequence[str]) -> str:
    """Return all that the identifiers stand for, in lower case: passages, or objects with their relations and passages."""
    parts = []
    for cite in cites:
        passage = base.passage(cite)
        if passage is not None:
            owner = base[passage.object_id]
            parts += [passage.heading, passage.text, owner.name]
        elif (each := base.get(cite)) is not None:
            parts += [each.kind, each.id, each.name, each.text, each.created, *each.aliases, *each.platforms, *each.tactics]
            parts += [*each.domains, *(value for fact in each.facts for value in fact)]
            parts += [f"{one.other} {one.name} {one.description}" for one in each.relations]
    return "\n".join(parts).lower()


def is_held(sentence: str, text: str) -> bool:
    """Say whether the text holds a sentence: all identifiers and numbers, and nine in ten of its words."""
    sentence = _MORE.sub("", sentence)
    exact = {each.lower() for each in _EXACT.findall(sentence)}
    if not all(re.search(rf"(?<![\w.]){re.escape(each)}(?!\w|\.\d)", text) for each in exact):
        return False
    held = set(_WORD.findall(text))
    words = [word for word in _WORD.findall(sentence.lower()) if word not in _FRAME]
    return not words or sum(word in held for word in words) / len(words) >= HELD


def check_citations(base: KnowledgeBase, answers: Sequence[Answer]) -> dict[str, Any]:
    """Check every sentence of every answer against what it cites."""
    sentences = [sentence for answer in answers for sentence in answer.sentences]
    failed = [sentence for sentence in sentences if not _is_cited(base, sentence)]
    whole = [all(_is_cited(base, sentence) for sentence in answer.sentences) for answer in answers if answer.sentences]
    interval = wilson_interval(len(sentences) - len(failed), len(sentences))
    turned = [*sentences[len(sentences) // 2 :], *sentences[: len(sentences) // 2]]
    wrongly = sum(is_held(one.text, cited_text(base, other.cites)) for one, other in zip(sentences, turned, strict=True))
    return {
        "sentences": len(sentences),
        "held": len(sentences) - len(failed),
        "share": round(1 - len(failed) / len(sentences), 4),
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
        "answers_with_every_sentence_held": round(sum(whole) / len(whole), 4),
        "held_by_the_citations_of_another_answer": wrongly,
        "without_citation": sum(not sentence.cites for sentence in sentences),
        "failed": [list(sentence.cites) for sentence in failed],
    }


def _is_cited(base: KnowledgeBase, sentence: AnswerSentence) -> bool:
    return bool(sentence.cites) and is_held(sentence.text, cited_text(base, sentence.cites))


def check_structured(questions: Sequence[AskedQuestion], answers: Sequence[Answer]) -> dict[str, Any]:
    """Compare what answers list with what the graph holds, and what they are about with what was asked."""
    pairs = [(question, answer) for question, answer in zip(questions, answers, strict=True) if question.aspect != "text"]
    right = [_is_exact(question, answer) for question, answer in pairs]
    wrong = [f"{question.text} -> {answer.status} {answer.aspect} {' '.join(answer.objects)}" for (question, answer), ok in
             zip(pairs, right, strict=True) if not ok]  # fmt: skip
    return {"n": len(pairs), "exact": sum(right), "share": round(sum(right) / len(pairs), 4), "wrong": wrong}


def _is_exact(question: AskedQuestion, answer: Answer) -> bool:
    about = question.subject in answer.objects and answer.status == "answered" and answer.aspect == question.aspect
    return about and (not question.listed or set(answer.listed) == question.listed)


def check_free_text(base: KnowledgeBase, questions: Sequence[AskedQuestion], answers: Sequence[Answer]) -> dict[str, Any]:
    """Count how often a question in free text is answered, and how often from the object that it was made from."""
    pairs = [(question, answer) for question, answer in zip(questions, answers, strict=True) if question.aspect == "text"]
    answered = [(question, answer) for question, answer in pairs if answer.status == "answered"]
    same = sum(any(_is_about(base, cite, question.subject) for cite in answer.cited) for question, answer in answered)
    return {"n": len(pairs), "answered": len(answered), "from_the_object_it_was_made_from": same}


def _is_about(base: KnowledgeBase, cite: str, subject: str) -> bool:
    passage = base.passage(cite)
    return subject in passage.object_ids if passage is not None else cite == subject


def check_off_topic(answerer: Answerer) -> dict[str, Any]:
    """Count how many questions off the subject, of those that the threshold was not set with, are answered."""
    asked = OFF_TOPIC[1::2]
    answered = [text for text in asked if answerer.answer(text).status == "answered"]
    return {"n": len(asked), "answered": len(answered), "which": answered}


def describe_times(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum in milliseconds."""
    ordered = sorted(seconds)
    return {
        "median_ms": round(statistics.median(ordered) * 1000, 1),
        "p95_ms": round(ordered[int(0.95 * len(ordered))] * 1000, 1),
        "max_ms": round(ordered[-1] * 1000, 1),
    }


def calibrate(base: KnowledgeBase) -> None:
    """Print, for thresholds, the share answered of free-text questions and of every second question off the subject."""
    asked = [each.text for each in generate_questions(base, 500, CALIBRATION_SEED) if each.aspect == "text"]
    on, off = (sorted(find_evidence(base, text, Scope()).score for text in texts) for texts in (asked, OFF_TOPIC[0::2]))
    print(f"{len(on)} questions from the knowledge base, {len(off)} off the subject")
    for threshold in (step / 100 for step in range(40, 66)):
        print(f"{threshold:.2f}  {share(on, threshold):.3f} answered  {share(off, threshold):.3f} of those off the subject")


def share(scores: Sequence[float], threshold: float) -> float:
    """Return the share of scores at the threshold or above."""
    return sum(score >= threshold for score in scores) / len(scores)


def show(questions: Sequence[AskedQuestion], answers: Sequence[Answer], step: int) -> None:
    """Print every `step`th question with its answer, for a person to read."""
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        if number % step == 0:
            print(f"\n[{number}] {question.text}\n    {answer.status} {answer.aspect} {answer.objects} {answer.notes}")
            for sentence in answer.sentences:
                print(f"    - {sentence.text} {list(sentence.cites)}")


if __name__ == "__main__":
    main()
