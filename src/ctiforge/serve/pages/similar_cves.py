"""Past CVEs like an item's, from the index that the server was given; none without one."""

from __future__ import annotations

import threading

from ctiforge.classify.classifier import load_model
from ctiforge.classify.prediction import SimilarCve
from ctiforge.classify.similar import SimilarCves
from ctiforge.core.advisory import Advisory
from ctiforge.serve.settings import ServeSettings

__all__ = ["SimilarFinder"]


class SimilarFinder:
    """Opens the index when it is first asked."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._opened: SimilarCves | None = None
        self._lock = threading.Lock()

    def find(self, advisory: Advisory, text: str) -> tuple[SimilarCve, ...] | None:
        """Return up to three past CVEs, the most similar first; None without an index.

        Raises:
            ModelError: the index is missing, damaged, or of another model.
        """
        if self._settings.similar is None:
            return None
        with self._lock:
            if self._opened is None:
                self._opened = SimilarCves(self._settings.similar, load_model(self._settings.classifier))
            return self._opened.find([advisory], [text])[0]
