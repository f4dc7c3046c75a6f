"""``json``: the contract's objects as one array, an element a line."""

from __future__ import annotations

from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.classify.outputs.record import json_text, prediction_record
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.prediction import Prediction

__all__ = ["JsonArrayRenderer"]


class JsonArrayRenderer(Renderer):
    """One array; the comma goes before every element but the first, so that no element has to wait for the next."""

    def __init__(self, options: OutputOptions) -> None:
        super().__init__(options)
        self._separator = "\n"

    def begin(self) -> str:
        """Return the opening bracket."""
        return "["

    def render(self, prediction: Prediction) -> str:
        """Return one element with what separates it from the last."""
        text = self._separator + json_text(prediction_record(prediction, top_k=self.options.top_k))
        self._separator = ",\n"
        return text

    def end(self) -> str:
        """Return the closing bracket."""
        return "\n]\n"
