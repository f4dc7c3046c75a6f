from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ctiforge.classify.outputs import OUTPUTS, OutputOptions
from ctiforge.classify.outputs.markdown import escape_markdown
from ctiforge.classify.prediction import Prediction


def test_every_row_has_the_columns_of_the_header(
    options: OutputOptions, batch: tuple[Prediction, ...], hostile: Prediction
) -> None:
    renderer = OUTPUTS["markdown"].renderer(options)
    html = MarkdownIt("gfm-like", {"linkify": False}).render(
        renderer.begin() + "".join(map(renderer.render, (*batch, hostile)))
    )
    assert html.count("<tr>") == 1 + 6
    assert html.count("<td") == 6 * 6
    assert "<a " not in html
    assert "<img" not in html
    assert "HYPERLINK(&quot;https://evil.example&quot;)" in html


@given(st.text(max_size=60))
def test_foreign_text_stays_text(text: str) -> None:
    escaped = escape_markdown(text)
    tokens = MarkdownIt("commonmark").parseInline(f"x {escaped} x")[0].children or []
    assert {token.type for token in tokens} <= {"text", "text_special"}
    assert "|" not in escaped.replace("\\|", "")
