"""Asking the knowledge base: an answer, and under it the passages and objects that its sentences cite."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ctiforge.ask import Answer, KnowledgeBase, SourceVersion
from ctiforge.core.errors import SettingError
from ctiforge.serve.pages.sessions import Session
from ctiforge.serve.pages.site import Site

__all__ = ["Citation", "ask", "citations_of"]


@dataclass(frozen=True, slots=True)
class Citation:
    """What a sentence cites, with its number on the page, its text and the release that it comes from."""

    number: int
    id: str
    heading: str
    text: str
    source: SourceVersion | None
    url: str


def ask(site: Site, request: Request, session: Session) -> Response:
    """Show the form; with a question in the address, its answer as well."""
    question = request.query_params.get("q", "").strip()
    answer: Answer | None = None
    problem, status = "", 200
    if question and site.state.has_knowledge_base:
        try:
            answer = site.state.answerer.answer(question)
        except SettingError as error:
            problem, status = error.message, 422
    base = site.state.answerer.base if site.state.has_knowledge_base else None
    citations = citations_of(base, answer) if base is not None and answer is not None else {}
    return site.render(
        request,
        session,
        "ask.html",
        status,
        question=question,
        answer=answer,
        citations=citations,
        problem=problem,
        versions=base.versions if base is not None else (),
    )


def citations_of(base: KnowledgeBase, answer: Answer) -> dict[str, Citation]:
    """Return everything that an answer cites, by identifier, in the order of the numbers."""
    versions = {each.key: each for each in base.versions}
    found = {}
    for number, cite in enumerate(answer.cited, 1):
        passage = base.passage(cite) if "#" in cite else None
        about = base.get(passage.object_id if passage else cite)
        heading = passage.heading if passage else f"{cite} {about.name}" if about else cite
        text = passage.text if passage else about.text if about else ""
        source = versions.get(about.source) if about else None
        found[cite] = Citation(
            number, cite, heading, text, source, about.url if about and about.url.startswith("https://") else ""
        )
    return found
