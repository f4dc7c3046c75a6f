"""``jsonl``: the contract, one object a line."""

from __future__ import annotations

from ctiforge.classify.outputs.record import json_text, prediction_record
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.prediction import Prediction

__all__ = ["JsonlRenderer"]


class JsonlRenderer(Renderer):
    """One JSON object a record and line, in input order; abstentions included."""

    def render(self, prediction: Prediction) -> str:
        """Return one line."""
        return json_text(prediction_record(prediction, top_k=self.options.top_k)) + "\n"
