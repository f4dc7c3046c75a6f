"""How ``ctiforge triage`` shows the queue, an item, its history and statistics to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ctiforge.classify.outputs.assigned import PARTY_NAMES
from ctiforge.classify.outputs.plain_text import one_line, printable
from ctiforge.classify.outputs.sentences import ABSTAIN_SENTENCES, prefer_text, probability_text
from ctiforge.classify.prediction import Prediction
from ctiforge.cli.cwe_render import USAGE_STYLES

if TYPE_CHECKING:
    from ctiforge.triage import AuditEntry, ItemView, QueueItem, QueuePage
    from ctiforge.triage.drift import DriftReport
    from ctiforge.triage.statistics import StoreStatistics

__all__ = ["render_drift", "render_history", "render_item", "render_priority", "render_queue", "render_stats"]

_SSVC_STYLES: Final = {"act": "bold red", "attend": "yellow", "track*": "cyan", "track": "dim", "": "dim"}
_NARROW = 110


def render_queue(console: Console, page: QueuePage, offset: int) -> None:
    """Print a page of the queue as a table."""
    if not page.items:
        console.print("nothing fits" if page.total == 0 else f"{page.total:,} items, none from {offset + 1:,} on")
        return
    wide = console.width >= _NARROW
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("item", no_wrap=True)
    table.add_column("SSVC", no_wrap=True)
    table.add_column("", no_wrap=True)
    if wide:
        table.add_column("CVSS", justify="right", no_wrap=True)
        table.add_column("EPSS", justify="right", no_wrap=True)
    table.add_column("suggested", no_wrap=True)
    table.add_column("assigned", overflow="fold", max_width=34)
    table.add_column("due", no_wrap=True)
    if wide:
        table.add_column("title", no_wrap=True)
    for item in page.items:
        scores = [_number(item.cvss, 1), _number(item.epss, 3)] if wide else []
        table.add_row(
            f"{item.priority:.1f}",
            Text(item.id, style="bold"),
            Text(item.ssvc or "-", style=_SSVC_STYLES[item.ssvc]),
            Text("KEV" if item.kev_date else "", style="bold red"),
            *scores,
            _suggested(item),
            _assigned(item),
            Text(item.due_at[:10], style="red" if item.overdue else ""),
            *([Text(one_line(item.title, console.width - _NARROW + 8))] if wide else []),
        )
    console.print(table)
    last = offset + len(page.items)
    console.print(f"{offset + 1:,}-{last:,} of {page.total:,}", style="dim")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _suggested(item: QueueItem) -> Text:
    if item.cwe_ids:
        return Text(f"{item.state}: {', '.join(item.cwe_ids)}", style="green")
    if item.state == "rejected":
        return Text("rejected", style="green")
    if item.abstain_reason:
        return Text(item.abstain_reason.replace("_", " "), style="dim")
    return Text(f"{item.top_cwe} {probability_text(item.probability)}")


def _assigned(item: QueueItem) -> Text:
    parts = [f"{PARTY_NAMES[party]} {', '.join(ids)}" for party, ids in item.assigned.items()]
    return Text("; ".join(parts), style="yellow" if item.parties_differ or item.model_differs or item.discouraged else "")


def render_priority(console: Console, view: ItemView) -> None:
    """Print how an item's priority comes about."""
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for name in ("term", "weight", "value", "points"):
        table.add_column(name, justify="left" if name == "term" else "right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for part in view.priority:
        table.add_row(part.name, f"{part.weight:g}", f"{part.value:.2f}", f"{part.points:.1f}", part.why)
    table.add_row("total", "", "", Text(f"{view.item.priority:.1f}", style="bold"), "")
    console.print(Text.assemble((view.item.id, "bold cyan"), f"  {view.item.title}"))
    console.print(table)


def render_item(console: Console, view: ItemView) -> None:
    """Print everything about an item."""
    item, prediction = view.item, view.suggestion.prediction
    console.print(Text.assemble((item.id, "bold cyan"), "  ", (item.title, "bold")))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    state = item.state.replace("_", " ") + (f": {', '.join(item.cwe_ids)}" if item.cwe_ids else "")
    due = Text(f"{item.due_at}{'  overdue' if item.overdue else ''}", style="red" if item.overdue else "")
    exploited = f"KEV since {item.kev_date}" if item.kev_date else ""
    scores = [
        f"SSVC {item.ssvc}" if item.ssvc else "",
        exploited,
        f"CVSS {_number(item.cvss, 1)}",
        f"EPSS {_number(item.epss, 3)}",
    ]
    grid.add_row("state", f"{state}, version {item.version}")
    grid.add_row("priority", f"{item.priority:.1f} points (why: ctiforge triage queue --explain {item.id})")
    grid.add_row("facts", ", ".join(filter(None, scores)))
    grid.add_row("due", due)
    grid.add_row("published", f"{item.published or '-'}, from {', '.join(view.feeds)}")
    for party in dict.fromkeys(each.party for each in view.advisory.weaknesses):
        words = [each.cwe_id or f"“{one_line(each.text, 60)}”" for each in view.advisory.weaknesses if each.party == party]
        grid.add_row(PARTY_NAMES[party], Text(", ".join(dict.fromkeys(words))))
    console.print(grid)
    console.print(Padding(_highlighted(prediction), (1, 0)))
    _render_suggestions(console, prediction)
    made = view.suggestion
    console.print(
        f"by {made.model} ({made.model_digest[:12]}), CWE {made.cwe_version}, policy {made.policy}, {made.made_at}", style="dim"
    )
    for each in view.reviews:
        entries = f" {', '.join(each.cwe_ids)}" if each.cwe_ids else ""
        reason = f": {each.reason}" if each.reason else ""
        console.print(Text(f"{each.at}  {each.reviewer}  {each.act}{entries}{reason}"))


def _highlighted(prediction: Prediction) -> Text:
    text = Text(printable(prediction.text) or "(no English description)")
    best = prediction.suggestions[0] if prediction.suggestions else None
    for span in best.evidence if best else ():
        text.stylize("bold underline", span.start, span.end)
    return text


def _render_suggestions(console: Console, prediction: Prediction) -> None:
    if prediction.reason:
        console.print(f"No suggestion. {ABSTAIN_SENTENCES[prediction.reason]} Weighed:", style="yellow")
    table = Table.grid(padding=(0, 2))
    for number, each in enumerate(prediction.suggestions, 1):
        style = USAGE_STYLES[each.usage]
        table.add_row(
            f"{number}", Text(each.cwe_id, style="bold"), probability_text(each.probability), each.name, Text(each.usage, style)
        )
    for each in prediction.discouraged:
        table.add_row(
            "-", Text(each.cwe_id, style="dim"), probability_text(each.probability), f"{each.name}: {prefer_text(each)}",
            Text(each.usage, USAGE_STYLES[each.usage]),
        )  # fmt: skip
    console.print(table)


def render_history(console: Console, links: Sequence[AuditEntry]) -> None:
    """Print links of the audit trail."""
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for name in ("link", "when", "who", "what", "item"):
        table.add_column(name, no_wrap=True, justify="right" if name == "link" else "left")
    table.add_column("details", overflow="fold")
    for link in links:
        details = link.details
        said = [
            " ".join(details.get("cwe_ids", [])),
            f"was {details['prior']['state']}" if "prior" in details else "",
            f"changed: {', '.join(details['changed'])}" if "changed" in details else "",
            f"{details['items']} items" if "items" in details else "",
            str(details.get("model", "")),
            str(details.get("reason", "")),
        ]
        table.add_row(
            str(link.seq), link.at, Text(link.actor), link.action, Text(link.item_id), Text("; ".join(filter(None, said)))
        )
    console.print(table if links else "nothing has happened yet")


def render_stats(console: Console, found: StoreStatistics) -> None:
    """Print the counts."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    for state, count in found.states.items():
        grid.add_row(state.replace("_", " "), f"{count:,}")
    for name, count in (
        ("overdue", found.overdue),
        ("exploited (KEV), waiting", found.kev_waiting),
        ("parties differ, waiting", found.conflicts),
        ("discouraged assigned, waiting", found.discouraged),
        ("model abstained, waiting", found.abstained),
    ):
        grid.add_row(name, f"{count:,}")
    for decision, count in sorted(found.waiting_by_ssvc.items()):
        grid.add_row(f"waiting, SSVC {decision or 'not known'}", f"{count:,}")
    if found.agreement is not None:
        low, high = found.agreement_interval.low, found.agreement_interval.high
        grid.add_row("reviewers agree with the model", f"{found.agreement:.1%} ({low:.1%} to {high:.1%})")
    for model, count in sorted(found.models.items()):
        grid.add_row(f"suggested by {model}", f"{count:,}")
    console.print(grid)


def render_drift(console: Console, report: DriftReport) -> None:
    """Print every measure of every period with interval and threshold; what alarms stands out. It fits 80 columns."""
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for name, left in (
        ("period", True),
        ("items", False),
        ("measure", True),
        ("value", False),
        ("95 %", False),
        ("alarm beyond", False),
    ):
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for period in report.periods:
        begins = (period.period, f"{period.items:,}")
        for each in period.measures:
            both = "±" if each.name in ("abstention", "override") else ""
            table.add_row(
                *begins,
                each.name.replace("_", " "),
                f"{each.value:.3f}",
                f"{each.interval.low:.3f} to {each.interval.high:.3f}",
                f"{both}{each.threshold:g}{' !' if each.alarms else '  '}",
                style="red" if each.alarms else "",
            )
            begins = ("", "")
        if not period.measures:
            table.add_row(*begins, Text("too few items to judge", style="dim"))
    console.print(
        f"reference {report.reference}, {report.reference_items:,} items; ! is an alarm: the whole interval is beyond"
    )
    if not report.periods:
        console.print("no period comes after it")
        return
    console.print(table)
    newest = report.newest_judged
    if newest is None:
        console.print("no period after it has enough items to be judged")
    elif newest.alarms:
        names = ", ".join(each.replace("_", " ") for each in newest.alarms)
        console.print(f"{newest.period}, the newest judged period, has drifted: {names}", style="red")
    else:
        console.print(f"{newest.period}, the newest judged period, has not drifted")
