"""A fine-tuned language model that ranks weaknesses by scoring labels: `ctiforge classify --model FOLDER`.

A folder that `ctiforge export merge` wrote: a model in the Hugging Face layout whose manifest.json has the labels it learnt and
the calibration of their probabilities on the development split. It gives no evidence: what a language model attends to is no
reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.models.artefact import not_a_manifest, read_manifest
from ctiforge.models.cwe_model import Contributions
from ctiforge.models.linear import Calibration, Doubles, Floats

__all__ = ["CLASSIFICATION_PROMPT", "LANGUAGE_FORMAT", "LanguageClassifier", "ScoredByLanguage", "load_language_classifier"]

LANGUAGE_FORMAT = "ctiforge-language-model/1"

CLASSIFICATION_PROMPT = (
    "Read the CVE description below and map it to the CWE that fits it best. Justify your choice briefly. "
    "The last line of your answer must hold nothing but the CWE ID.\n\nCVE description: {description}"
)
"""The wording that half of the records have in the bundled corpora."""

_BATCH = 8
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class ScoredByLanguage:
    """Texts with the logarithms of the labels' probabilities as scores; see `ctiforge.models.cwe_model.ScoredTexts`."""

    scores: Floats
    probabilities: Doubles
    lengths: Sequence[int]

    def words(self, text: int) -> tuple[int, int]:
        """Return the words of a text, all of them known."""
        return self.lengths[text], self.lengths[text]

    def contributions(self, asked: Sequence[tuple[int, int]], most: int) -> list[Contributions]:
        """Return no evidence for each pair."""
        return [Contributions(0.0, []) for _ in asked]


class LanguageClassifier:
    """See `ctiforge.models.cwe_model.CweModel`. The model is loaded with the first text.

    Args:
        folder: of the merged model.
        threads: of the CPU.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], digest: str, *, threads: int) -> None:
        self.name = folder.resolve().name
        self.digest = digest
        self.manifest = manifest
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self._folder = folder
        self._threads = threads
        self._calibration = Calibration(**manifest["calibration"])
        self._loaded: Any = None

    def score(self, texts: list[str], policy: str | None = None) -> ScoredByLanguage:
        """Score a batch of texts; calibration is the same for every policy.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ModelError: the folder does not make a model.
        """
        model, scorer = self._model()
        rows = [model.prompt_tokens(_request(text)) for text in texts]
        parts = [scorer.score(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
        shares = np.concatenate(parts) if parts else np.zeros((0, len(self.labels)))
        scores = np.log(np.maximum(shares, _LEAST)).astype(np.float32)
        return ScoredByLanguage(scores, self._calibration.probabilities(scores), [len(text.split()) for text in texts])

    def _model(self) -> Any:
        if self._loaded is None:
            try:
                import torch

                from ctiforge.models.label_scoring import LabelScorer
                from ctiforge.models.transformers_batch import LoadedModel
            except ImportError as error:
                raise MissingExtraError((error.name or "torch").partition(".")[0], "local") from None
            if not torch.cuda.is_available():
                torch.set_num_threads(max(self._threads, torch.get_num_threads()))
            model = LoadedModel.load(self._folder, None, dtype="auto", device="auto")
            if not model.chat_template:
                raise ModelError(f"{self._folder} has no chat template", fix="merge the adapter again: ctiforge export merge")
            self._loaded = (model, LabelScorer(model, self.labels))
        return self._loaded


def load_language_classifier(folder: Path, *, threads: int = 1) -> LanguageClassifier:
    """Load the manifest of a merged model and check that its files are those it names.

    Raises:
        ModelError: there is no such model, it learnt no CWE, or a file was changed.
        MissingExtraError: torch or transformers is not installed.
    """
    from ctiforge.models.transformers_local import check_packages, folder_digest

    check_packages(with_adapter=False)
    fix = "merge an adapter that was trained on CVE-to-CWE records: ctiforge export merge"
    manifest, digest = read_manifest(folder, LANGUAGE_FORMAT, fix=fix)
    if not manifest["labels"] or not manifest.get("calibration"):
        raise ModelError(f"{folder} learnt no CWE, so it cannot rank them", fix=fix)
    if folder_digest(folder) != manifest.get("digest"):
        raise ModelError(f"{folder}: its files are not those of its manifest", fix="copy the whole folder again")
    try:
        return LanguageClassifier(folder, manifest, digest, threads=threads)
    except (KeyError, TypeError, ValueError) as error:
        raise not_a_manifest(folder, error) from None


def _request(text: str) -> Any:
    from ctiforge.core.messages import ChatMessage
    from ctiforge.models.generation import GenerationRequest

    return GenerationRequest(messages=(ChatMessage("user", CLASSIFICATION_PROMPT.format(description=text)),))
