"""Where nothing is suggested: weaknesses beyond the model's labels whose definition has the words of the text.

They are listed apart, because their similarity is no probability. A text that does not say what the weakness is gets none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ctiforge.classify.prediction import Prediction, RareCandidate
from ctiforge.models.cwe_model import CweModel, ScoredTexts
from ctiforge.models.linear import Features, LinearModel
from ctiforge.models.rare import RareTable, load_rare_table
from ctiforge.models.text_vectors import ngram_model, text_ngrams
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["RareFinder"]

_SHOWN = 3
_LOOKED_AT = ("low_probability", "only_discouraged")


class RareFinder:
    """A model's table of rare entries, beside the catalogue in force.

    Args:
        model: the linear model whose n-grams the table has.
        labels: what the classifier's model can suggest itself.
    """

    def __init__(self, table: RareTable, model: LinearModel, labels: Sequence[str], catalogue: CweCatalogue) -> None:
        self._table = table
        self._model = model
        self._catalogue = catalogue
        known = set(labels)
        # The catalogue in force decides: an entry may have been prohibited since the table was made.
        self._offered = np.array([each not in known and catalogue.is_suggestable(each) for each in table.cwe_ids])

    @classmethod
    def load(cls, folder: str | os.PathLike[str], model: CweModel, catalogue: CweCatalogue) -> RareFinder | None:
        """Return the finder for a model's folder, or None where it has no table.

        Raises:
            ModelError: the table is damaged or of another model.
        """
        ngrams = ngram_model(model)
        table = None if ngrams is None else load_rare_table(folder, ngrams)
        return None if ngrams is None or table is None else cls(table, ngrams, model.labels, catalogue)

    def add(self, predictions: Sequence[Prediction], scored: ScoredTexts) -> list[Prediction]:
        """Return the predictions of a batch, those that suggest nothing with their rare candidates.

        Args:
            scored: what the model made of the batch's texts, in the same order.
        """
        features: Features | None = None
        found = list(predictions)
        for place, prediction in enumerate(predictions):
            if prediction.reason not in _LOOKED_AT:
                continue
            features = features or text_ngrams(self._model, [each.text for each in predictions], scored)
            nearest = self._table.nearest(features, place, _SHOWN, self._offered)
            if nearest:
                found[place] = replace(prediction, rare_candidates=tuple(self._candidate(*each) for each in nearest))
        return found

    def _candidate(self, cwe_id: str, similarity: float) -> RareCandidate:
        weakness = self._catalogue[cwe_id]
        return RareCandidate(cwe_id, weakness.name, min(similarity, 1.0), weakness.usage)
