"""The picker's search: entries of CWE by number, name or other term, as JSON for the item's page."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ctiforge.classify.outputs.record import json_text
from ctiforge.serve.pages.sessions import Session
from ctiforge.serve.pages.site import Site
from ctiforge.sources.cwe import load_catalogue

__all__ = ["search_weaknesses"]

_SHOWN: Final = 8
_LONGEST: Final = 100


def search_weaknesses(site: Site, request: Request, session: Session) -> Response:
    """Return entries for what was typed, best first; categories and the like only with the word that they are prohibited."""
    catalogue = load_catalogue()
    text = request.query_params.get("q", "").strip()[:_LONGEST]
    found = catalogue.resolve(text) if text else None
    ids = [found] if found else []
    ids += [each.cwe_id for each in catalogue.search(text, _SHOWN) if each.cwe_id not in ids] if text else []
    rows = [
        {
            "id": each.cwe_id,
            "name": each.name,
            "usage": each.usage,
            "abstraction": each.abstraction,
            "prefer": list(catalogue.nearest_allowed(each.cwe_id)[:3]) if each.usage == "Discouraged" else [],
        }
        for each in map(catalogue.get, ids[:_SHOWN])
        if each is not None
    ]
    return Response(json_text({"found": rows, "cwe_version": catalogue.version}), media_type="application/json")
