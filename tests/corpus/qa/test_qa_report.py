"""The report of what was generated."""

from __future__ import annotations

import orjson

from ctiforge.corpus.qa import FormCounts, QaObjects, QaSettings, build_qa_report, generate_qa, render_qa_report


def test_the_report_counts_what_there_is(objects: QaObjects) -> None:
    settings = QaSettings(counts={"technique-tactic": FormCounts(8, 2), "campaign-group": FormCounts(5, 0)})
    records = list(generate_qa(objects, settings, 1))
    report = build_qa_report(records, settings)
    first, second = report.generators
    assert (first.name, first.choice, first.short, first.missing) == ("technique-tactic", 8, 2, 0)
    assert (second.choice, second.missing) == (1, 4)  # there is one campaign
    assert report.total == len(records) == 11
    assert sum(report.letters.values()) == 9
    assert report.chi_square == sum((n - 9 / 4) ** 2 / (9 / 4) for n in report.letters.values())
    choices = [record for record in records if record.label]
    assert report.characters["choice"] == (sum(len(r.text) for r in choices) / 9, 1.0)
    text = render_qa_report(report)
    assert "| campaign-group | 1 | 0 | 1 | 4 |" in text
    assert orjson.loads(orjson.dumps(report.as_json()))["total"] == 11


def test_uneven_letters_are_called_so(objects: QaObjects) -> None:
    settings = QaSettings(counts={"technique-id": FormCounts(14, 0)})
    records = [record for record in generate_qa(objects, settings, 1) if record.label == "A"] * 5
    assert "uneven" in render_qa_report(build_qa_report(records, settings))
    assert "0 records about 0 objects" in render_qa_report(build_qa_report([], settings))
