"""Open-book records, and what the index knew of the items."""

from __future__ import annotations

from pathlib import Path

from ctiforge.bench.open_book import is_open_book, page_notes, pages_in_index
from ctiforge.bench.task import LoadedTask, Sample
from ctiforge.bench.tasks import find_task


def loaded() -> LoadedTask:
    urls = ["https://attack.mitre.org/techniques/T9001/001/", "https://cwe.mitre.org/data/definitions/901.html", "Manual", ""]
    samples = [Sample(f"cti-mcq/{i:04d}", "?", "A", source=url) for i, url in enumerate(urls)]
    return LoadedTask(find_task("cti-mcq"), Path("x"), "0" * 64, samples)


def test_pages_are_those_of_objects_that_the_index_holds() -> None:
    assert pages_in_index([loaded()], {"T9001.001"}.__contains__) == {"cti-mcq/0000"}


def test_the_note_counts_items_by_where_their_page_is() -> None:
    (note,) = page_notes([loaded()], frozenset({"cti-mcq/0000"}))
    assert "1 of 4 items were made from is in the index; 1 come from a page that is not, 2 from no page" in note


def test_records_say_themselves_that_they_are_open_book() -> None:
    assert is_open_book({"model": {"settings": {"open_book": True}}})
    assert not is_open_book({"model": {"settings": {}}})
    assert not is_open_book({"model": {}})
