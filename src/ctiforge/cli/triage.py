"""``ctiforge triage``: a review queue over a store; the model suggests, a person decides."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctiforge.classify.classifier import BUNDLED_MODELS, DEFAULT_MODEL
from ctiforge.cli import triage_output, triage_review
from ctiforge.cli.cwe_render import error_console, output_console
from ctiforge.cli.long_runs import resumable
from ctiforge.cli.progress import FeedProgress
from ctiforge.cli.rejects import DEFAULT_REJECTS, RejectsFile
from ctiforge.cli.triage_render import render_history, render_item, render_queue, render_stats
from ctiforge.cli.triage_store import DbOption, JsonFlag, PersonOption, opened, print_json
from ctiforge.core.errors import ExitCode
from ctiforge.sources.read import FieldMap, ReadOptions, input_size

if TYPE_CHECKING:
    from ctiforge.triage import QueueFilter

__all__ = ["app", "make_filter"]

app = typer.Typer(
    name="triage", help="Review CWE suggestions: a queue, decisions by people, an audit trail, exports.", no_args_is_help=True
)


@app.command("import")
def import_(
    feeds: Annotated[
        list[str], typer.Argument(metavar="FEED...", help="Files and folders in any format that classify reads, or -.")
    ],
    db: DbOption = None,
    model: Annotated[
        str, typer.Option(help=f"A bundled model ({', '.join(BUNDLED_MODELS)}) or a model folder.")
    ] = DEFAULT_MODEL,
    policy: Annotated[str, typer.Option(help="mitre: only entries that MITRE allows. nvd: every weakness.")] = "mitre",
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Abstain below; default: the model's own.")] = None,
    view: Annotated[str | None, typer.Option(help="Suggest members of this CWE view only, such as 1003.")] = None,
    field_map: Annotated[
        str | None, typer.Option("--map", metavar="OURS=THEIRS,...", help="Columns or fields, as in classify.")
    ] = None,
    kev: Annotated[Path | None, typer.Option(help="CISA's KEV catalogue, JSON or CSV.")] = None,
    epss: Annotated[Path | None, typer.Option(help="FIRST's EPSS scores, CSV.")] = None,
    rejects: Annotated[Path | None, typer.Option(help=f"Where unreadable records go. Default: {DEFAULT_REJECTS}.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes for large feeds. Default: the cores.")] = None,
    person: PersonOption = "import",
    as_json: JsonFlag = False,
) -> None:
    """Bring the queue up to date with feeds; what has not changed is left alone. After a kill the same command goes on."""
    from ctiforge.classify.feed import ClassifierSettings

    options = ReadOptions(field_map=FieldMap.parse(field_map) if field_map else None)
    settings = ClassifierSettings(model, policy, threshold=threshold, view=view)
    with opened(db) as store, RejectsFile(rejects or Path(DEFAULT_REJECTS)) as rejected:
        from ctiforge.triage import import_advisories, rank

        size = input_size(feeds)
        with FeedProgress(size, visible=sys.stderr.isatty()) as progress, resumable():
            report = import_advisories(
                store,
                feeds,
                settings,
                actor=person,
                read_options=options,
                workers=workers,
                on_reject=rejected.write,
                on_bytes=progress.advance,
                on_records=progress.count,
            )
            if kev or epss:
                rank(store, actor=person, kev=kev, epss=epss)
    if as_json:
        print_json(report)
    else:
        lost = sum(report.rejected.values())
        typer.echo(
            f"{report.records:,} records: {report.added:,} new, {report.changed:,} changed "
            f"({report.reopened:,} decisions opened again), {report.unchanged:,} unchanged, {report.outdated:,} outdated, "
            f"{lost:,} rejected"
        )
        if lost:
            typer.echo(f"rejected records with file, line and reason: {rejected.path}", err=True)
    if report.records and report.records == sum(report.rejected.values()):
        raise typer.Exit(ExitCode.NOTHING_READABLE)


StateOption = Annotated[
    list[str] | None,
    typer.Option("--state", help="open, reopened, awaiting_second, accepted, corrected, rejected, or all; may be repeated."),
]
ConflictOption = Annotated[
    str | None, typer.Option("--conflict", help="parties: two parties differ. model: parties and model differ. any: either.")
]
TextOption = Annotated[str, typer.Option("--text", help="Words that must all occur in identifier, title or text.")]


def make_filter(state: list[str] | None = None, conflict: str | None = None, text: str = "", **others: Any) -> QueueFilter:
    """Return the filter that options stand for."""
    from ctiforge.triage import QueueFilter
    from ctiforge.triage.values import STATES, WAITING

    states: Any = STATES if state and "all" in state else tuple(state) if state else WAITING
    return QueueFilter(states=states, conflict=conflict, text=text, **others)  # type: ignore[arg-type]


@app.command()
def queue(
    db: DbOption = None,
    state: StateOption = None,
    conflict: ConflictOption = None,
    discouraged: Annotated[
        bool, typer.Option("--discouraged", help="A party assigned a Discouraged or Prohibited entry.")
    ] = False,
    abstained: Annotated[
        bool, typer.Option("--abstained", help="The model suggests nothing: low information and the like.")
    ] = False,
    kev: Annotated[bool, typer.Option("--kev", help="Known to be exploited.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Past the service level.")] = False,
    ssvc: Annotated[str | None, typer.Option(help="act, attend, track* or track.")] = None,
    cwe: Annotated[str | None, typer.Option(help="Suggested first, or decided.")] = None,
    text: TextOption = "",
    order: Annotated[str, typer.Option(help="priority, due, newest, oldest, uncertain, certain.")] = "priority",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 20,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    explain: Annotated[str | None, typer.Option(metavar="ID", help="Show how this item's priority comes about.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """What waits for a decision, most urgent first."""
    with opened(db) as store:
        from ctiforge import triage
        from ctiforge.cli.triage_render import render_priority

        if explain:
            view = triage.show(store, explain)
            print_json(view.priority) if as_json else render_priority(output_console(), view)
            return
        wanted = make_filter(
            state, conflict, text, discouraged=discouraged, abstained=abstained, kev=kev, overdue=overdue, ssvc=ssvc, cwe_id=cwe
        )
        page = triage.queue(store, wanted, order=order, limit=limit, offset=offset)
    print_json(page) if as_json else render_queue(output_console(), page, offset)


@app.command()
def show(item_id: Annotated[str, typer.Argument(metavar="ID")], db: DbOption = None, as_json: JsonFlag = False) -> None:
    """One item: text, evidence, what each party and the model say, reviews."""
    with opened(db) as store:
        from ctiforge import triage

        view = triage.show(store, item_id)
    print_json(view) if as_json else render_item(output_console(), view)


@app.command()
def history(
    item_id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    db: DbOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 50,
    as_json: JsonFlag = False,
) -> None:
    """The audit trail of one item, or of all; the newest last."""
    with opened(db) as store:
        from ctiforge import triage

        key = triage.show(store, item_id).item.id if item_id else None
        links = triage.history(store, key, limit=limit)
    print_json(links) if as_json else render_history(output_console(), links)


@app.command()
def verify(
    db: DbOption = None,
    expect: Annotated[str | None, typer.Option(metavar="SEQ:HASH", help="A head noted before; it must still be there.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check the audit trail link by link, and the data against it. Exit code 1: broken, and where."""
    with opened(db) as store:
        from ctiforge import triage

        report = triage.verify(store, expected_head=expect)
    broken = report.broken
    if as_json:
        print_json(report)
    elif broken is None:
        typer.echo(f"whole: {report.links:,} links, {report.reviews:,} reviews\nhead: {report.head}")
    if broken is not None:
        place = f"link {broken.seq}" if broken.seq else "the data"
        about = f" ({broken.item_id})" if broken.item_id else ""
        error_console().print(f"ctiforge: the trail is broken at {place}{about}: {broken.why}", style="red")
        raise typer.Exit(ExitCode.ERROR)


@app.command()
def stats(db: DbOption = None, as_json: JsonFlag = False) -> None:
    """How much waits, how much is overdue, and how reviewers and model agree."""
    with opened(db) as store:
        from ctiforge.triage.statistics import store_statistics

        found = store_statistics(store)
    print_json(found) if as_json else render_stats(output_console(), found)


@app.command("rank")
def rank_(
    db: DbOption = None,
    settings: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="New rules (YAML); the store keeps them.")] = None,
    kev: Annotated[Path | None, typer.Option(help="CISA's KEV catalogue, JSON or CSV.")] = None,
    epss: Annotated[Path | None, typer.Option(help="FIRST's EPSS scores, CSV, compressed or not.")] = None,
    person: PersonOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Take over rules, KEV and EPSS, and compute priorities and clocks anew."""
    with opened(db) as store:
        from ctiforge import triage

        rules = triage.load_rules(settings) if settings else None
        report = triage.rank(store, actor=person, rules=rules, kev=kev, epss=epss)
    if as_json:
        print_json(report)
    else:
        typer.echo(f"{report.items:,} items ranked; news from KEV for {report.kev:,}, from EPSS for {report.epss:,}")


@app.command("cp")
def copy_rules(name: Annotated[str, typer.Argument()], target: Annotated[Path, typer.Argument()]) -> None:
    """Copy the bundled rules (triage-default), comments and all, to change them."""
    from ctiforge.cli.recipe_files import copy_bundled_recipe

    copy_bundled_recipe(name if name.startswith("triage-") else f"triage-{name}", target, "triage")
    typer.echo(f"{target}: change it, then: ctiforge triage rank --settings {target} --as NAME")


triage_review.register(app)
triage_output.register(app)
