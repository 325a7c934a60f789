"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counts requests, their time, batches and the queue, apart from every other server of the process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "gossamer_requests", "Requests for predictions, by status code.", ["code"], registry=self._registry
        )
        self._seconds = Histogram(
            "gossamer_request_seconds",
            "Time from a request's head to its answer, of those with status 200.",
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._rows = Histogram(
            "gossamer_batch_rows", "Rows that were answered as one.", registry=self._registry, buckets=_ROWS
        )
        self._waiting = Gauge("gossamer_queue", "Requests that wait.", registry=self._registry)

    def answered(self, code: int, seconds: float) -> None:
        """Counts an answer."""
        self._requests.labels(str(code)).inc()
        if code == 200:
            self._seconds.observe(seconds)

    def batch_of(self, rows: int) -> None:
        """Counts a batch."""
        self._rows.observe(rows)

    def text(self, waiting: int) -> bytes:
        """Returns everything in Prometheus' format; `waiting` requests are in the queue."""
        self._waiting.set(waiting)
        return generate_latest(self._registry)
