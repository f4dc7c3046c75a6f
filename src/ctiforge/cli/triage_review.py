"""``ctiforge triage review``, ``bulk-accept`` and ``bulk-undo``: what a person decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ctiforge.cli.triage_store import DbOption, JsonFlag, PersonOption, opened, print_json

if TYPE_CHECKING:
    from ctiforge.triage import BulkResult, Review

__all__ = ["bulk_accept", "bulk_undo", "register"]

_ItemArgument = Annotated[str, typer.Argument(metavar="ID")]
_ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Why.")]
_VersionOption = Annotated[
    int | None,
    typer.Option("--version", help="The item's version that you looked at; a newer one is a conflict (exit code 8)."),
]

_app = typer.Typer(name="review", help="Decide items, one at a time.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to those of triage."""
    app.add_typer(_app, name="review")
    app.command("bulk-accept")(bulk_accept)
    app.command("bulk-undo")(bulk_undo)


@_app.command()
def accept(
    item_id: _ItemArgument, person: PersonOption = "", reason: _ReasonOption = "", version: _VersionOption = None,
    db: DbOption = None, as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """The first suggestion stands."""
    _review(item_id, "accept", [], person, reason, version, db, as_json)


@_app.command()
def correct(
    item_id: _ItemArgument,
    cwe: Annotated[list[str], typer.Argument(metavar="CWE...", help="What to assign instead, root cause first.")],
    person: PersonOption = "", reason: _ReasonOption = "", version: _VersionOption = None,
    db: DbOption = None, as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Other entries are right."""
    _review(item_id, "correct", cwe, person, reason, version, db, as_json)


@_app.command()
def reject(
    item_id: _ItemArgument, person: PersonOption = "", reason: _ReasonOption = "", version: _VersionOption = None,
    db: DbOption = None, as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """No entry can be assigned; needs a reason."""
    _review(item_id, "reject", [], person, reason, version, db, as_json)


def _review(
    item_id: str, verdict: str, cwe: list[str], person: str, reason: str, version: int | None, db: str | None, as_json: bool
) -> None:
    with opened(db) as store:
        from ctiforge import triage

        done = triage.review(store, item_id, verdict, reviewer=person, cwe_ids=cwe, reason=reason, version=version)
    _print_review(done, as_json)


@_app.command()
def confirm(
    item_id: _ItemArgument, person: PersonOption = "", reason: _ReasonOption = "", version: _VersionOption = None,
    db: DbOption = None, as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Agree, as a second person, where the store asks for two."""
    with opened(db) as store:
        from ctiforge import triage

        done = triage.confirm(store, item_id, reviewer=person, reason=reason, version=version)
    _print_review(done, as_json)


@_app.command()
def undo(
    item_id: _ItemArgument, person: PersonOption = "", reason: _ReasonOption = "", version: _VersionOption = None,
    db: DbOption = None, as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Take the newest review back; nothing is erased."""
    with opened(db) as store:
        from ctiforge import triage

        done = triage.undo(store, item_id, reviewer=person, reason=reason, version=version)
    _print_review(done, as_json)


def _print_review(done: Review, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    entries = f" {', '.join(done.cwe_ids)}" if done.cwe_ids else ""
    before = f"{done.prior.state} {', '.join(done.prior.cwe_ids)}".strip()
    typer.echo(f"{done.item_id}: {done.state.replace('_', ' ')}{entries} (was: {before}), version {done.version}")


def bulk_accept(
    min_probability: Annotated[float, typer.Option(min=0, max=1, help="Only suggestions at least this probable.")],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")],
    person: PersonOption = "",
    text: Annotated[str, typer.Option("--text", help="Only items with all these words.")] = "",
    cwe: Annotated[str | None, typer.Option(help="Only where this is suggested.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many, the most probable first.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what would be accepted.")] = False,
    db: DbOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Accept, as one audited act of a named person, all suggestions above a probability that nobody contradicts."""
    with opened(db) as store:
        from ctiforge import triage

        done = triage.bulk_accept(
            store,
            min_probability=min_probability,
            reviewer=person,
            reason=reason,
            wanted=triage.QueueFilter(text=text, cwe_id=cwe),
            limit=limit,
            dry_run=not yes,
        )
    if as_json:
        print_json(done)
        return
    what = "accepted" if done.bulk_id else "would be accepted"
    typer.echo(
        f"{len(done.item_ids):,} items {what}; about {done.expected_wrong:.1f} of them wrong, if the model is calibrated"
    )
    typer.echo(
        f"to take it back: ctiforge triage bulk-undo {done.bulk_id}" if done.bulk_id else "to do it: the same with --yes"
    )


def bulk_undo(
    number: Annotated[int, typer.Argument(help="Number of the bulk acceptance.")],
    person: PersonOption = "",
    reason: _ReasonOption = "",
    db: DbOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take a bulk acceptance back, except where somebody has acted since."""
    with opened(db) as store:
        from ctiforge import triage

        done = triage.bulk_undo(store, number, reviewer=person, reason=reason)
    print_json(done) if as_json else _print_undone(done)


def _print_undone(done: BulkResult) -> None:
    typer.echo(f"{len(done.item_ids):,} items are again what they were before")
    if done.left:
        more = f" and {len(done.left) - 10:,} more" if len(done.left) > 10 else ""
        typer.echo(f"left alone, since somebody has acted on them since: {', '.join(done.left[:10])}{more}")
