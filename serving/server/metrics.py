"""What Prometheus reads at /metrics.

Requests are counted in plain numbers, and put into Prometheus' form when it asks for them: its own
counters cost a request more than parsing its headers does.
"""

import bisect
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCIES = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class _Histogram:
    """Observations by upper bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]):
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """(bound, how many are up to it), as Prometheus has them."""
        total, rows = 0, []
        for bound, count in zip((*map(float, self._bounds), "+Inf"), self._counts):
            total += count
            rows.append((str(bound), float(total)))
        return rows

    @property
    def sum(self) -> float:
        return self._sum


class Metrics(Collector):
    """One server's. Labels only ever hold what is served, never what a client made up. Belongs to
    the server's event loop."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
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
        self._requests: dict[tuple[str, str, str, int], int] = {}
        self._seconds: dict[tuple[str, str, str], _Histogram] = {}
        self._batches: dict[tuple[str, str], _Histogram] = {}
        registry.register(self)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A figure that is read whenever it is asked for."""
        Gauge(f"darkroom_{name}", text, registry=self.registry).set_function(read)

    def answered(
        self, model: str, version: str, protocol: str, status: int, seconds: float
    ) -> None:
        """A request is answered; `model` and `version` are empty where it named none served."""
        key = (model, version, protocol, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        histogram = self._seconds.get(key[:3])
        if histogram is None:
            histogram = self._seconds[key[:3]] = _Histogram(_LATENCIES)
        histogram.observe(seconds)

    def batch(self, model: str, version: str, images: int) -> None:
        """An inference is done."""
        histogram = self._batches.get((model, version))
        if histogram is None:
            histogram = self._batches[model, version] = _Histogram(_BATCHES)
        histogram.observe(images)

    def rejected(self, reason: str) -> None:
        """A limit turned something away; `reason` is a word."""
        self._rejections.labels(reason).inc()

    def load(self, model: str, outcome: str) -> None:
        """A version was loaded, or failed to."""
        self._loads.labels(model, outcome).inc()

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """What was counted, as Prometheus' library asks for it."""
        requests = CounterMetricFamily(
            "darkroom_requests",
            "Requests answered, by HTTP status or its equal in gRPC.",
            labels=["model", "version", "protocol", "status"],
        )
        for (model, version, protocol, status), count in self._requests.items():
            requests.add_metric([model, version, protocol, str(status)], count)
        seconds = HistogramMetricFamily(
            "darkroom_request_seconds",
            "From a complete request to its answer.",
            labels=["model", "version", "protocol"],
        )
        for labels, histogram in self._seconds.items():
            seconds.add_metric(list(labels), histogram.buckets(), histogram.sum)
        batches = HistogramMetricFamily(
            "darkroom_batch_images", "Images of an inference.", labels=["model", "version"]
        )
        for pair, histogram in self._batches.items():
            batches.add_metric(list(pair), histogram.buckets(), histogram.sum)
        yield from (requests, seconds, batches)
