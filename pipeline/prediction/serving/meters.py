"""What is counted, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)


class Meters:
    """Of one server."""

    def __init__(self, num_open: Callable[[], int]) -> None:
        """num_open: how many requests are read, wait, or are being answered."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they all began with the server
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "regatta_requests", "Requests to /predict, by the status they ended with", ["status"], registry=self.registry
        )
        self.answers = Counter("regatta_answers", "Samples that were answered", registry=self.registry)
        self.problems = Counter("regatta_problems", "Samples that could not be read", registry=self.registry)
        self.refused = Counter("regatta_refused", "Requests that were refused", ["status"], registry=self.registry)
        self.latency = Histogram(
            "regatta_latency_seconds", "From a request to its answer", buckets=_BOUNDS_S, registry=self.registry
        )
        waiting = Gauge("regatta_queue", "Requests that are read, wait, or are being answered", registry=self.registry)
        waiting.set_function(num_open)

    def text(self) -> bytes:
        """All of them now."""
        return generate_latest(self.registry)
