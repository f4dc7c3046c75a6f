"""The embedded classifier behind the protocol for text generation, so that it can be benchmarked like any other model."""

from __future__ import annotations

import os

from ctiforge.classify.classifier import Classifier
from ctiforge.models.generation import Generation, GenerationError, GenerationRequest, ModelInfo

__all__ = ["EmbeddedModel"]


class EmbeddedModel:
    """Answers root cause mapping by the description alone (`GenerationRequest.metadata`), whatever the prompt around it says.

    Args:
        model: a bundled model's name or the path of a model folder.
        policy: see `Classifier`; benchmarks' golds follow ``nvd``.

    Raises:
        ModelError: the model is missing or damaged.
        SettingError: no such policy.
    """

    def __init__(self, model: str | os.PathLike[str] = "fast", *, policy: str = "nvd") -> None:
        self._classifier = Classifier(model, policy=policy, threshold=0, explain=False)

    async def info(self) -> ModelInfo:
        """Return name, digest, policy and CWE version."""
        classifier = self._classifier
        settings = {"policy": classifier.policy, "cwe_version": classifier.catalogue.version}
        return ModelInfo(f"ctiforge-{classifier.model.name}", "embedded", digest=classifier.model.digest, settings=settings)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Rank weaknesses for the description; anything but a description of a vulnerability is refused."""
        text = str(request.metadata.get("question") or "")
        if not text or request.metadata.get("choices") or request.metadata.get("answer_kind", "cwe") != "cwe":
            why = "the embedded classifier answers root cause mapping only"
            return Generation("", "error", error=GenerationError("refused", why))
        prediction = self._classifier.classify_one(text)
        if not prediction.suggestions:
            return Generation(f"no suggestion: {prediction.reason}", "stop")
        best = prediction.suggestions[0]
        ranked = tuple(suggestion.cwe_id for suggestion in prediction.suggestions)
        return Generation(best.cwe_id, "stop", ranked=ranked, confidence=round(best.probability, 6))

    async def close(self) -> None:
        """Nothing is held."""
