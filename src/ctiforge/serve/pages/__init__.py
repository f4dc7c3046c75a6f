"""Web pages: rendered on the server, on the same state as the API. They work without scripts and without a network.

One module a page; `site` has what they share. docs/web.md is the reviewer's guide.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctiforge.serve.pages.ask_page import ask
from ctiforge.serve.pages.bulk_page import BulkPage
from ctiforge.serve.pages.dashboards import Dashboards
from ctiforge.serve.pages.export_page import download, show_export
from ctiforge.serve.pages.item_page import ItemPage
from ctiforge.serve.pages.queue_page import show_queue
from ctiforge.serve.pages.rendering import STATIC_TYPES, static_bytes
from ctiforge.serve.pages.report_pages import show_report, show_reports
from ctiforge.serve.pages.review_form import ReviewForm
from ctiforge.serve.pages.sign_in import SignIn
from ctiforge.serve.pages.site import PageHandler, Site
from ctiforge.serve.pages.weakness_search import search_weaknesses
from ctiforge.serve.problems import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ctiforge.serve.state import ServerState

__all__ = ["add_pages"]


def add_pages(app: FastAPI, state: ServerState) -> None:
    """Add the pages to the application; they are no part of its OpenAPI document."""
    site = Site(state)
    sign_in, item, dashboards, bulk = SignIn(site), ItemPage(site), Dashboards(site), BulkPage(site)
    pages: dict[str, PageHandler] = {
        "/queue": partial(show_queue, site),
        "/items/{item_id:path}": item.show,
        "/weaknesses": partial(search_weaknesses, site),
        "/dashboards": dashboards.show,
        "/drift": dashboards.show_drift,
        "/ask": partial(ask, site),
        "/reports": partial(show_reports, site),
        "/reports/{name}": partial(show_report, site),
        "/export": partial(show_export, site),
        "/export/download": partial(download, site),
    }
    for path, handler in pages.items():
        app.add_route(path, site.page(handler), ["GET"], include_in_schema=False)
    app.add_route("/bulk", site.page(bulk.show, "reviewer"), ["GET"], include_in_schema=False)
    app.add_route("/bulk", site.form(bulk.take), ["POST"], include_in_schema=False)
    app.add_route("/reviews", site.form(ReviewForm(site, item).take), ["POST"], include_in_schema=False)
    app.add_route("/sign-in", sign_in.show, ["GET"], include_in_schema=False)
    app.add_route("/sign-in", sign_in.take, ["POST"], include_in_schema=False)
    app.add_route("/sign-out", site.form(sign_in.leave, "reader"), ["POST"], include_in_schema=False)
    app.add_route("/static/{name}", _static, ["GET"], include_in_schema=False)
    app.add_route("/", partial(_home, site), ["GET"], include_in_schema=False)


async def _home(site: Site, request: Request) -> Response:
    start = "/queue" if site.state.has_store or not site.state.has_knowledge_base else "/ask"
    return site.secured(RedirectResponse(start, HTTPStatus.SEE_OTHER))


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC_TYPES:
        raise Problem(404, "there is no such file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(static_bytes(name), headers=headers, media_type=STATIC_TYPES[name])
