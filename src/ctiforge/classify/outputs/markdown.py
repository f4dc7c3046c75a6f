"""``markdown``: a GitHub-flavoured table, a row a record, for tickets and merge requests."""

from __future__ import annotations

import re

from ctiforge.classify.outputs.assigned import AssignedView, compare_assigned
from ctiforge.classify.outputs.neighbours import assigned_text, similarity_text
from ctiforge.classify.outputs.plain_text import one_line
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.outputs.sentences import abstain_sentence, chain_text, prefer_text, probability_text, ranking_text
from ctiforge.classify.prediction import Prediction

__all__ = ["MarkdownRenderer", "escape_markdown"]

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]#~|])")
_COLUMNS = ("Record", "Suggestion", "Probability", "MITRE usage", "Evidence", "Assigned by others")


class MarkdownRenderer(Renderer):
    """A table whose foreign text can neither leave its cell nor become a link, an image, HTML or a mention."""

    def begin(self) -> str:
        """Return the header."""
        rule = ["---:" if name == "Probability" else "---" for name in _COLUMNS]
        return _row(list(_COLUMNS)) + _row(rule)

    def render(self, prediction: Prediction) -> str:
        """Return one row."""
        assigned = "<br>".join(_assigned(view) for view in compare_assigned(prediction))
        if sentence := abstain_sentence(prediction):
            weighed = [ranking_text(prediction.suggestions[: self.options.top_k])] if prediction.suggestions else []
            weighed += [
                f"{each.cwe_id} (discouraged; {prefer_text(each)})" for each in prediction.discouraged[: self.options.top_k]
            ]
            candidates = f"<br>weighed: {', '.join(weighed)}" if weighed else ""
            return _row(
                [escape_markdown(prediction.id), f"*{sentence}*{candidates}{_neighbours(prediction)}", "", "", "", assigned]
            )
        best, *others = prediction.suggestions[: self.options.top_k]
        suggestion = f"**{best.cwe_id}** {escape_markdown(best.name)}"
        if others:
            suggestion += f"<br>also {ranking_text(others)}"
        if best.moved_from:
            suggestion += f"<br>moved here: {escape_markdown(best.moved_from.why)}"
        if prediction.chain:
            suggestion += f"<br>chain: {chain_text(prediction)}"
        suggestion += _neighbours(prediction)
        evidence = ", ".join(f"“{escape_markdown(one_line(span.text, 80))}”" for span in best.evidence[:3])
        probability = escape_markdown(probability_text(best.probability))
        return _row([escape_markdown(prediction.id), suggestion, probability, best.usage, evidence, assigned])


def escape_markdown(text: str) -> str:
    """Return foreign `text` as inert inline Markdown on one line (CommonMark 2.4, GFM tables, autolinks and mentions)."""
    text = _PUNCTUATION.sub(r"\\\1", one_line(text))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # GFM turns bare addresses and @names into links and notifications; an entity shows the same character and does not.
    return text.replace("@", "&#64;").replace("://", "&#58;//").replace("www.", "www&#46;")


def _neighbours(prediction: Prediction) -> str:
    """Return rare entries and similar CVEs, each on a line of its own within the cell."""
    lines = [
        f"rare: {each.cwe_id} {escape_markdown(each.name)} {similarity_text(each.similarity)} like MITRE's definition"
        for each in prediction.rare_candidates
    ]
    for similar in prediction.similar or ():
        lines.append(f"similar: {escape_markdown(similar.id)} {similarity_text(similar.similarity)} {assigned_text(similar)}")
    return "".join(f"<br>{line}" for line in lines)


def _assigned(view: AssignedView) -> str:
    text = f"{view.name}: {escape_markdown(view.label)}"
    return f"{text} ({view.comment})" if view.comment else text


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
