"""What Prometheus reads at /metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCIES = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """One server's. Labels only ever hold what is served, never what a client made up."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "darkroom_requests",
            "Requests answered, by HTTP status or its equal in gRPC.",
            ["model", "version", "protocol", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "darkroom_request_seconds",
            "From a complete request to its answer.",
            ["model", "version", "protocol"],
            buckets=_LATENCIES,
            registry=registry,
        )
        self._batch = Histogram(
            "darkroom_batch_images",
            "Images of an inference.",
            ["model", "version"],
            buckets=_BATCHES,
            registry=registry,
        )
        self._rejections = Counter(
            "darkroom_rejections",
            "Requests and connections that a limit turned away.",
            ["reason"],
            registry=registry,
        )
        self.loaded = Gauge(
            "darkroom_version_loaded",
            "1 for each version in memory.",
            ["model", "version"],
            registry=registry,
        )
        self.current = Gauge(
            "darkroom_current_version",
            "The version that answers when none is named.",
            ["model"],
            registry=registry,
        )
        self._loads = Counter(
            "darkroom_loads",
            "Versions loaded: outcome is loaded, or failed and the one before serves on.",
            ["model", "outcome"],
            registry=registry,
        )
        self._answers: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}
        self._batches: dict[tuple[str, str], Histogram] = {}

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A figure that is read whenever it is asked for."""
        Gauge(f"darkroom_{name}", text, registry=self.registry).set_function(read)

    def answered(
        self, model: str, version: str, protocol: str, status: int, seconds: float
    ) -> None:
        """A request is answered; `model` and `version` are empty where it named none served."""
        key = (model, version, protocol, status)
        known = self._answers.get(key)
        if known is None:
            known = self._answers[key] = (
                self._requests.labels(model, version, protocol, str(status)),
                self._seconds.labels(model, version, protocol),
            )
        known[0].inc()
        known[1].observe(seconds)

    def batch(self, model: str, version: str, images: int) -> None:
        """An inference is done."""
        known = self._batches.get((model, version))
        if known is None:
            known = self._batches[model, version] = self._batch.labels(model, version)
        known.observe(images)

    def rejected(self, reason: str) -> None:
        """A limit turned something away; `reason` is a word."""
        self._rejections.labels(reason).inc()

    def load(self, model: str, outcome: str) -> None:
        """A version was loaded, or failed to."""
        self._loads.labels(model, outcome).inc()

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)
