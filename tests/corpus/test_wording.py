from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ctiforge.corpus.recipe import Instruction, LabelPolicy, Rcm, Reason
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.wording import choose_weighted, word_records
from ctiforge.sources.cwe import CweCatalogue

RCM = Rcm(
    labels=LabelPolicy(prefer=["cna"]),
    instructions=[Instruction(text="Map: {description}", weight=3), Instruction(text="{description} Which?")],
    reasons=[Reason(text='Says "{phrase}": {name}.')],
    reasons_without_phrase=[Reason(text="Best: {name}.")],
)


def worded(record: CorpusRecord, run_stage: Callable[..., Any], catalogue: CweCatalogue) -> CorpusRecord:
    (made,) = run_stage(lambda writer: word_records(writer, [record], RCM, 1, catalogue)).records()
    assert isinstance(made, CorpusRecord)
    return made


def test_the_reason_quotes_and_the_id_stands_alone_at_the_end(
    run_stage: Callable[..., Any], catalogue: CweCatalogue, make_record: Callable[..., CorpusRecord]
) -> None:
    text = "Braces {phrase} and {0} in a text stay as they are."
    made = worded(make_record("a", text, "CWE-787", metadata={"phrase": "Braces {phrase}"}), run_stage, catalogue)
    assert made.completion == 'Says "Braces {phrase}": Out-of-bounds Write.\n\nCWE-787'
    assert made.prompt in {f"Map: {text}", f"{text} Which?"}
    assert made.text == text
    without = worded(make_record("a", text, "CWE-787", metadata={"phrase": ""}), run_stage, catalogue)
    assert without.completion == "Best: Out-of-bounds Write.\n\nCWE-787"


def test_questions_stay_as_they_are(
    run_stage: Callable[..., Any], catalogue: CweCatalogue, make_record: Callable[..., CorpusRecord]
) -> None:
    record = make_record("q", "Which?", "A", kind="qa", prompt="Which?", completion="A")
    assert worded(record, run_stage, catalogue) == record


def test_weights_are_kept() -> None:
    keys = [f"{i * 16**16 // 4000:016x}" for i in range(4000)]
    counts = Counter(choose_weighted(RCM.instructions, key)[0] for key in keys)
    assert counts == {0: 3000, 1: 1000}
    assert choose_weighted(RCM.instructions, "f" * 64)[0] == 1
