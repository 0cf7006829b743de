"""Prometheus metrics of one server. Labels are route templates and statuses, never what users typed."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one server; a process may have several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["route", "method"]
        self.requests = Counter(
            "quarry_requests_total", "Requests answered", [*labels, "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "quarry_request_seconds", "Wall time of requests", labels, registry=self.registry, buckets=_SECONDS
        )
        self.batches = Histogram(
            "quarry_batch_size", "Requests computed together", registry=self.registry, buckets=_SIZES
        )
        self.rerank_batches = Histogram(
            "quarry_rerank_batch_size", "Pieces of requests reranked together", registry=self.registry, buckets=_SIZES
        )
        self.rejected = Counter("quarry_rejected_total", "Requests refused with 429", registry=self.registry)
        self.degraded = Counter(
            "quarry_degraded_total", "Answers without a stage that was asked for", registry=self.registry
        )

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that is evaluated when the metrics are scraped."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
