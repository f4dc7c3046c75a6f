"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["ServerMetrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ServerMetrics:
    """Counters of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}  # looking labels up costs more than counting
        self.requests = Counter(
            "ctiforge_http_requests_total", "Requests answered.", ("area", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "ctiforge_http_seconds", "Seconds from request to answer.", ("area",), buckets=_SECONDS, registry=self.registry
        )
        self.in_progress = Gauge("ctiforge_http_in_progress", "Requests in progress.", registry=self.registry)
        self.refused = Counter("ctiforge_http_refused_total", "Requests refused, by reason.", ("why",), registry=self.registry)
        self.batches = Histogram("ctiforge_classify_batch_texts", "Texts of a batch.", buckets=_ITEMS, registry=self.registry)
        self.batch_seconds = Histogram(
            "ctiforge_classify_batch_seconds", "Seconds of a batch.", buckets=_SECONDS, registry=self.registry
        )
        self.reviews = Counter("ctiforge_reviews_total", "Reviews written, by act.", ("act",), registry=self.registry)
        self.conflicts = Counter(
            "ctiforge_review_conflicts_total", "Reviews refused: another was faster.", registry=self.registry
        )

    def on_batch(self, items: int, seconds: float) -> None:
        """Count a batch of classification."""
        self.batches.observe(items)
        self.batch_seconds.observe(seconds)

    def on_answer(self, area: str, status: int, seconds: float) -> None:
        """Count an answer; `area` is the first segments of the path, so that identifiers do not become labels."""
        found = self._answers.get((area, status))
        if found is None:
            found = self._answers[area, status] = (self.requests.labels(area, str(status)), self.seconds.labels(area))
        found[0].inc()
        found[1].observe(seconds)

    def render(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self.registry)
