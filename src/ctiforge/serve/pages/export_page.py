"""Downloads of what was decided, in the formats of other tools."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ctiforge import __version__
from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.serve.pages.queue_query import STATE_CHOICES, QueueQuery, read_queue_query
from ctiforge.serve.pages.sessions import Session
from ctiforge.serve.pages.site import Site
from ctiforge.triage import export, queue
from ctiforge.triage.exports import EXPORTS, find_export
from ctiforge.triage.values import DECIDED

__all__ = ["download", "show_export"]

_TYPES: Final = {".csv": "text/csv", ".jsonl": "application/x-ndjson"}


def show_export(site: Site, request: Request, session: Session) -> Response:
    """Show what can be downloaded, and how many decisions there are."""
    total = queue(site.state.store, QueueQuery(state="decided").wanted, limit=1).total
    return site.render(
        request, session, "export.html", formats=list(EXPORTS.values()), total=total, states=["decided", *DECIDED]
    )


def download(site: Site, request: Request, session: Session) -> Response:
    """Send the decisions; nothing of the request gets into the name of the file but a format that exists."""
    form = find_export(request.query_params.get("format", "csv"))
    asked = read_queue_query({"state": "decided", **request.query_params})
    state = asked.state if set(STATE_CHOICES.get(asked.state, ())) <= set(DECIDED) else "decided"
    wanted = QueueQuery(state=state, cwe=asked.cwe, q=asked.q).wanted
    store = site.state.store
    options = OutputOptions(generated_at=store.now(), version=__version__)
    pieces = export(store, form.name, options, wanted=wanted)
    first = next(pieces)  # what is wrong shows here, before anything is sent
    name = f"decisions-{store.now():%Y-%m-%d}-{form.name}{form.suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_encoded(chain([first], pieces)), 200, headers, _TYPES.get(form.suffix, "application/json"))


def _encoded(pieces: Iterator[str]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece.encode()
