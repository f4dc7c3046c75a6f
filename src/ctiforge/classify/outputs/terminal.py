"""``table``: aligned blocks for a terminal, one a record, each written as soon as it is known.

The columns depend on the width alone, never on the data, so that nothing has to be held back: forty thousand records
stream past in constant memory. Without colour, brackets mark the evidence instead.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ctiforge.classify.outputs.assigned import AssignedView, compare_assigned
from ctiforge.classify.outputs.neighbours import assigned_text, similarity_text
from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.classify.outputs.plain_text import one_line
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.outputs.sentences import abstain_sentence, chain_text, prefer_text, probability_text, ranking_text
from ctiforge.classify.outputs.snippet import Snippet, cut_snippet
from ctiforge.classify.prediction import Prediction, Suggestion

__all__ = ["TerminalRenderer", "short_name"]

_USAGE_STYLE = {"Allowed": "green", "Allowed-with-Review": "yellow", "Discouraged": "magenta", "Prohibited": "red"}
_VERDICT = {
    "agrees": ("✓", "green"),
    "ranked": ("↓", "cyan"),
    "differs": ("≠", "yellow"),
    "words_only": ("", "dim"),
    "not_compared": ("", "dim"),
}
_EVIDENCE_STYLE = "bold cyan"
_WORTH_A_LOOK = 0.01
"""Runners-up below this probability are shown with ``explain`` only."""
_WORTH_A_MENTION = 0.05
"""Discouraged entries below this probability are shown with ``explain`` only."""
_ASCII = str.maketrans({"─": "-", "█": "#", "·": ".", "…": "~", "“": '"', "”": '"', "✓": "=", "≠": "!", "↓": "~", "—": "-"})
_ALIAS = re.compile(r"\('([^']+)'\)")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Widths in terminal cells; `name` takes what the others leave."""

    total: int
    record: int
    name: int
    bar: int
    usage: int
    cwe: int = 9
    probability: int = 5

    @property
    def body(self) -> int:
        """Width right of the record's identifier."""
        return self.total - self.record


def _columns(width: int) -> _Columns:
    total = min(max(width, 72), 160)
    record = 17 if total < 90 else 20
    bar = 6 if total < 90 else 10
    usage = 12 if total < 110 else 20
    # Two cells of air between name, bar and usage.
    return _Columns(total, record, total - record - 9 - 2 - bar - 1 - 5 - 1 - usage, bar, usage)


class TerminalRenderer(Renderer):
    """A block a record: the suggestion, the words that led to it, what others assigned, the runners-up."""

    def __init__(self, options: OutputOptions) -> None:
        super().__init__(options)
        self._columns = _columns(options.width)
        self._console = Console(
            file=io.StringIO(),
            width=self._columns.total,
            force_terminal=options.colour,
            color_system="standard" if options.colour else None,
            no_color=not options.colour,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    def begin(self) -> str:
        """Return the column heads."""
        columns = self._columns
        head = Text(style="bold")
        head.append(_fit("RECORD", columns.record))
        head.append(_fit("SUGGESTED WEAKNESS", columns.cwe + columns.name + 2))
        head.append(_fit("PROBABILITY", columns.bar + columns.probability + 2))
        head.append("MITRE USAGE" if columns.usage > 12 else "USAGE")
        return self._print([head, Text("─" * columns.total, style="dim")])

    def render(self, prediction: Prediction) -> str:
        """Return the block, with an empty line after it."""
        sentence = abstain_sentence(prediction)
        lines = self._abstained(prediction, sentence) if sentence else self._suggested(prediction)
        views = compare_assigned(prediction)
        if views:
            lines += self._wrapped(_assigned_line(views))
        lines += self._rare(prediction) + self._similar(prediction)
        return self._print([*self._beside(one_line(prediction.id, 200), lines), Text("")])

    def _suggested(self, prediction: Prediction) -> list[Text]:
        best, *others = prediction.suggestions[: self.options.top_k]
        lines = [*self._row(best), *self._snippet(prediction, best)]
        if best.moved_from:
            lines += self._wrapped(Text(f"moved here: {best.moved_from.why}", style="dim"))
        if prediction.chain:
            lines += self._wrapped(Text(f"chain: {chain_text(prediction)}", style="dim"))
        if self.options.explain:
            lines += self._weights(best)
            for each in others:
                lines += [*self._row(each), *self._weights(each)]
        elif close := [each for each in others if each.probability >= _WORTH_A_LOOK]:
            lines += self._wrapped(Text("also " + ranking_text(close), style="dim"))
        return lines + self._discouraged(prediction)

    def _abstained(self, prediction: Prediction, sentence: str) -> list[Text]:
        line = Text.assemble(("no suggestion", "bold yellow"), (" — ", "dim"), sentence)
        lines = self._wrapped(line)
        if prediction.text.strip():
            lines += self._snippet(prediction, None)
        weighed = prediction.suggestions[: self.options.top_k]
        if weighed:
            lines += self._wrapped(Text("weighed " + ranking_text(weighed), style="dim"))
        return lines + self._discouraged(prediction)

    def _row(self, suggestion: Suggestion) -> list[Text]:
        """Return the suggestion's own line, and more where the name needs them."""
        columns = self._columns
        names = self._wrapped(Text(one_line(suggestion.name)), columns.name) or [Text("")]
        if len(names) > 2:  # the alias then, if MITRE gives one, and the name cut off if not
            names = self._wrapped(Text(short_name(suggestion.name, 0)), columns.name)
        if len(names) > 2:
            names[1].append("…")
            names[1].truncate(columns.name, overflow="ellipsis")
        lines = []
        for place, name in enumerate(names[:2]):
            line = Text(_fit(suggestion.cwe_id if place == 0 else "", columns.cwe), style="bold")
            name.pad_right(max(0, columns.name + 2 - name.cell_len))
            line.append_text(Text("", style="not bold").append_text(name))
            if place == 0:
                line.append_text(self._bar(suggestion.probability))
                line.append(f" {probability_text(suggestion.probability):<{columns.probability}} ", style="not bold")
                usage = suggestion.usage
                word = {"Allowed-with-Review": "with review"}.get(usage, usage) if columns.usage < 20 else usage
                line.append(word, style=f"not bold {_USAGE_STYLE[usage]}")
            lines.append(line)
        return lines

    def _bar(self, probability: float) -> Text:
        filled = round(min(max(probability, 0.0), 1.0) * self._columns.bar)
        bar = Text("█" * filled, style="not bold cyan")
        return bar.append("·" * (self._columns.bar - filled), style="dim")

    def _snippet(self, prediction: Prediction, suggestion: Suggestion | None) -> list[Text]:
        spans = suggestion.evidence if suggestion else ()
        snippet = cut_snippet(prediction.text, spans, self._columns.body - 2 - (0 if self.options.colour else 8))
        line = Text.assemble(("“", "dim"), self._highlighted(snippet), ("”", "dim"))
        line.truncate(self._columns.body, overflow="ellipsis")
        return [line] if snippet.text else []

    def _highlighted(self, snippet: Snippet) -> Text:
        line = Text()
        at = 0
        for start, end in snippet.highlights:
            line.append(snippet.text[at:start])
            words = snippet.text[start:end]
            line.append(words if self.options.colour else f"[{words}]", style=_EVIDENCE_STYLE)
            at = end
        return line.append(snippet.text[at:])

    def _weights(self, suggestion: Suggestion) -> list[Text]:
        """Return one line that gives each piece of evidence its share, or nothing."""
        if not suggestion.evidence:
            return []
        line = Text(" " * self._columns.cwe + "because ", style="dim")
        for place, span in enumerate(suggestion.evidence[:5]):
            line.append(", " if place else "")
            line.append(one_line(span.text, 40), style=f"not dim {_EVIDENCE_STYLE}")
            line.append(f" {span.weight:.0%}")
        line.truncate(self._columns.body, overflow="ellipsis")
        return [line]

    def _discouraged(self, prediction: Prediction) -> list[Text]:
        lines = []
        shown = prediction.discouraged[: self.options.top_k]
        if not self.options.explain:
            shown = tuple(each for each in shown[:1] if each.probability >= _WORTH_A_MENTION)
        for each in shown:
            line = Text.assemble(
                ("MITRE discourages ", "dim"),
                (each.cwe_id, "magenta"),
                f" {one_line(short_name(each.name, 60), max(24, self._columns.body - 60))} ",
                (f"{probability_text(each.probability)}: {prefer_text(each)}", "dim"),
            )
            lines += self._wrapped(line)
        return lines

    def _rare(self, prediction: Prediction) -> list[Text]:
        lines = []
        for each in prediction.rare_candidates:
            name = one_line(short_name(each.name, 60), max(24, self._columns.body - 45))
            words = (f" {name} ", (f"{similarity_text(each.similarity)} like MITRE's definition", "dim"))
            lines += self._wrapped(Text.assemble(("rare ", "dim"), (each.cwe_id, "cyan"), *words))
        return lines

    def _similar(self, prediction: Prediction) -> list[Text]:
        lines = []
        for each in prediction.similar or ():
            head = Text.assemble(("similar ", "dim"), f"{one_line(each.id, 60)} ", (similarity_text(each.similarity), "dim"))
            lines += self._wrapped(head.append(f" {assigned_text(each)}"))
            if self.options.explain and each.excerpt:
                excerpt = Text(f"  “{one_line(each.excerpt)}”", style="dim")
                excerpt.truncate(self._columns.body, overflow="ellipsis")
                lines.append(excerpt)
        return lines

    def _wrapped(self, line: Text, width: int | None = None) -> list[Text]:
        return list(line.wrap(self._console, width or self._columns.body))

    def _beside(self, record: str, lines: list[Text]) -> list[Text]:
        """Put the identifier left of `lines`; on a line of its own where it does not fit."""
        width = self._columns.record
        if cell_len(record) >= width:
            head, first = [Text(record, style="bold", overflow="fold")], ""
        else:
            head, first = [], record
        return head + [
            Text.assemble((_fit(first if place == 0 else "", width), "bold"), line) for place, line in enumerate(lines)
        ]

    def _print(self, lines: list[Text]) -> str:
        with self._console.capture() as capture:
            for line in lines:
                line.rstrip()
                self._console.print(line, soft_wrap=line.overflow is None)
        text = capture.get()
        return text.translate(_ASCII).encode("ascii", "replace").decode() if self.options.ascii_only else text


def short_name(name: str, width: int) -> str:
    """Return `name`, or the alias that MITRE puts in brackets and quotes where the name is wider than `width` cells."""
    name = one_line(name)
    alias = _ALIAS.search(name)
    return alias[1] if alias and cell_len(name) > width else name


def _fit(text: str, width: int) -> str:
    return text + " " * max(0, width - cell_len(text))


def _assigned_line(views: tuple[AssignedView, ...]) -> Text:
    line = Text("assigned by ", style="dim")
    for place, view in enumerate(views):
        mark, style = _VERDICT[view.verdict]
        line.append(", " if place else "")
        line.append(f"{view.name} ", style="not dim")
        line.append(view.label, style="not dim")
        line.append(" " + " ".join(filter(None, (mark, view.comment))) if view.comment else "", style=f"not dim {style}")
    return line
