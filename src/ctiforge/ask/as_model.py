"""Multiple choice from the knowledge base behind the protocol for text generation, so that it can be benchmarked: open book."""

from __future__ import annotations

import asyncio
import os
import threading

from ctiforge.ask.choices import ChoiceAnswer, ChoiceAnswerer
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.reader.model import load_reader
from ctiforge.core.errors import CtiforgeError
from ctiforge.models.generation import Generation, GenerationError, GenerationRequest, ModelInfo

__all__ = ["AskModel"]


class AskModel:
    """Answers items with options by their question and option texts (`GenerationRequest.metadata`), whatever the prompt says.

    Args:
        kb: folder of the knowledge base.
        reader: file of a trained reader; by default the one that comes with the package.
        embeddings: False reads by words alone.
        threads: for the sentence encoder; 0 lets onnxruntime choose.

    Raises:
        InputError: there is no knowledge base, or it cannot be read.
        ModelError: the reader cannot be read.
    """

    def __init__(
        self, kb: str | os.PathLike[str], *, reader: str | None = None, embeddings: bool = True, threads: int = 0
    ) -> None:
        base = KnowledgeBase.load(os.fspath(kb), embeddings=embeddings, threads=threads)
        self._answerer = ChoiceAnswerer(base, load_reader(reader))
        self._turn = threading.Lock()  # rotations of one item are asked at once, and all but the first find the answer kept

    def holds(self, object_id: str) -> bool:
        """Say whether the knowledge base has this object, or its successor."""
        return self._answerer.base.get(object_id) is not None

    async def info(self) -> ModelInfo:
        """Return the reader's digest, and the sources with their releases; ``open_book`` marks the record."""
        base, reader = self._answerer.base, self._answerer.reader
        settings = {
            "open_book": True,
            "knowledge_base": base.manifest.build,
            "embeddings": self._answerer.reads_meaning,
            "sources": [f"{each.name} {each.version}".strip() for each in base.versions],
        }
        return ModelInfo("ctiforge-ask", "ask", digest=reader.digest, settings=settings)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Choose among the options of an item; an item without options is refused."""
        letters = tuple(map(str, request.metadata.get("choices") or ()))
        options = tuple(map(str, request.metadata.get("options") or ()))
        if not letters or len(options) != len(letters):
            return _refused("the knowledge base's reader answers multiple choice only")
        try:
            answer = await asyncio.to_thread(self._answer, str(request.metadata.get("question") or ""), options)
        except CtiforgeError as error:
            return _refused(error.message)
        # Of options that are as likely, the answerer has chosen one by what it says, not by where it stands.
        order = sorted(range(len(options)), key=lambda i: (-answer.options[i].probability, i != answer.chosen, options[i]))
        ranked = tuple(letters[i] for i in order)
        return Generation(ranked[0], "stop", ranked=ranked, confidence=round(answer.options[order[0]].probability, 6))

    def _answer(self, question: str, options: tuple[str, ...]) -> ChoiceAnswer:
        with self._turn:
            return self._answerer.answer(question, options)

    async def close(self) -> None:
        """Nothing is held."""


def _refused(why: str) -> Generation:
    return Generation("", "error", error=GenerationError("refused", why))
