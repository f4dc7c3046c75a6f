from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctiforge.bench.report import render_html, write_html
from ctiforge.bench.report.wording import escape_html

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Every element closed in its turn; what a browser would silently mend is an error here."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"{tag} is never closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if len({name for name, _ in attrs}) != len(attrs):
            self.faults.append(f"{tag} has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing that is open, at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def usual(invented: SimpleNamespace) -> str:
    return render_html(invented.usual())


@pytest.fixture(scope="module")
def hostile(invented: SimpleNamespace) -> str:
    return render_html([invented.hostile()])


def test_the_page_is_well_formed(usual: str, hostile: str, invented: SimpleNamespace) -> None:
    for text in (usual, hostile, render_html([invented.no_valid_trial(), invented.nothing_answered()])):
        assert text.startswith("<!DOCTYPE html>\n")
        page = Page(text)
        assert page.faults == []
        ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
        assert len(ids) == len(set(ids))


def test_the_page_needs_nothing_from_outside(usual: str, hostile: str) -> None:
    for text in (usual, hostile):
        page = Page(text)
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "image"}
        for _, attrs in page.elements:
            assert not [name for name in attrs if name.startswith("on") or name == "src"]
            for name in ("href", "xlink:href"):
                assert (attrs.get(name) or "#").startswith("#")
        assert not re.search(r"url\((?!#)|@import|@font-face", text)
        assert "default-src 'none'" in text


def test_links_lead_somewhere(usual: str) -> None:
    page = Page(usual)
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert {attrs["href"] for attrs in page.named("a")} == {"#task1", "#task2", "#task3", "#provenance"}
    assert {str(attrs["href"])[1:] for attrs in page.named("a")} <= ids


def test_tables_and_plots_are_accessible(usual: str) -> None:
    page = Page(usual)
    assert len(page.named("table")) == len(page.named("caption")) > 10
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.named("th"))
    assert len(page.named("figure")) == len(page.named("figcaption")) == len(page.named("svg"))
    for attrs in page.named("svg"):
        assert attrs["role"] == "img"
        assert len(str(attrs["aria-label"])) > 30
    assert page.named("html") == [{"lang": "en"}]


def test_plots_have_titles_that_say_what_they_show(usual: str) -> None:
    for title in (
        "cti-rcm: Numbat-2B scores 0.750, Wombat-270M 0.600; their intervals are apart",
        "The extraction rule alone moves accuracy by 5.5 points, from 0.695 to 0.750",
        "Answers C too often: 47% of answers, 37% of golds",
        "Of labels with 20 items or more, accuracy goes from 0.97 on CWE-79 down to 0.38 on CWE-20",
        "86% of answers are in the family of the gold; the commonest confusion is resource lifetime answered as neutralization",
        "Overconfident: claims 0.76 on average, is right 0.72 (expected calibration error 0.046)",
    ):
        assert f"<strong>{escape_html(title)}" in usual


def test_colours_follow_the_page(usual: str) -> None:
    body = usual.split("</style>", 1)[1]
    assert not re.search(r"#[0-9a-fA-F]{6}\b", body)
    used = set(re.findall(r"var\(--([a-z]+)\)", usual))
    head = usual.split("</style>", 1)[0]
    light, dark = head.split("@media (prefers-color-scheme: dark)")
    for name in used:
        assert f"--{name}:" in light
        assert f"--{name}:" in dark or name == "font"
    assert "@media print" in head


def test_foreign_text_is_inert(hostile: str) -> None:
    page = Page(hostile)
    assert "script" not in {tag for tag, _ in page.elements}
    assert not page.named("b")
    assert "<script" not in hostile
    assert "onerror" not in {name for _, attrs in page.elements for name in attrs}
    assert "\u202e" not in hostile
    assert "<script>alert(1)</script>" in "".join(page.text)  # shown, as text
    assert "$\\frac{a}{b}$" in "".join(page.text)  # no formula


@settings(max_examples=15)
@given(name=st.text(max_size=60))
def test_any_model_name_gives_a_well_formed_page(name: str, invented: SimpleNamespace) -> None:
    record = invented.record(name, invented.vector_task())
    record["tasks"][0]["rule"] = name
    assert Page(render_html([record])).faults == []


def test_equal_records_give_equal_bytes(usual: str, invented: SimpleNamespace) -> None:
    assert render_html(invented.usual()) == usual
    code = (
        "import runpy, sys\nfrom ctiforge.bench.report import render_html\n"
        f"sys.stdout.write(render_html(runpy.run_path({str(Path(__file__).parents[1] / 'invented_records.py')!r})['usual']()))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=True)
    assert child.stdout == usual.encode()


def test_a_user_s_matplotlib_settings_change_nothing(usual: str, invented: SimpleNamespace) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert render_html(invented.usual()) == usual
        assert matplotlib.rcParams["font.size"] == 30


def test_no_date_is_in_the_page(usual: str) -> None:
    assert not re.search(r"20\d\d-\d\d-\d\d", usual)
    assert "<metadata" not in usual


def test_the_file_is_what_is_rendered(tmp_path: Path, usual: str, invented: SimpleNamespace) -> None:
    write_html(invented.usual(), tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "report.html").read_bytes() == usual.encode()


def test_without_matplotlib_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, invented: SimpleNamespace) -> None:
    from ctiforge.core.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        render_html(invented.usual())
