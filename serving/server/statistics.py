"""What one version of a model has answered: the figures of the protocol's statistics extension."""

import dataclasses
import time
from collections import defaultdict


@dataclasses.dataclass
class Duration:
    """How often something happened, and how long it took together, in nanoseconds."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.ns += int(seconds * 1e9)


class Statistics:
    """Of one loaded version, since it was loaded. Not for several threads."""

    def __init__(self) -> None:
        self._last = 0.0
        self.inferences = 0
        """Images."""
        self.executions = 0
        """Batches."""
        self.success, self.fail = Duration(), Duration()
        self.queue, self.infer = Duration(), Duration()
        """Of each request that was answered: waiting, and the batch that it was in."""
        self.batches: dict[int, Duration] = defaultdict(Duration)
        """By number of images."""

    def batch(self, images: int, waited: list[float], seconds: float) -> None:
        """An inference of `images` for `len(waited)` requests is done."""
        self._last = time.time()
        self.inferences += images
        self.executions += 1
        self.batches[images].add(seconds)
        ns = int(seconds * 1e9)
        count = len(waited)
        self.infer.count += count
        self.infer.ns += ns * count
        self.queue.count += count
        self.queue.ns += int(sum(waited) * 1e9)

    def answered(self, good: bool, seconds: float) -> None:
        """A request for this version is answered."""
        (self.success if good else self.fail).add(seconds)

    def to_dict(self) -> dict:
        """In the terms of Triton's statistics extension."""
        nothing = {"count": 0, "ns": 0}
        stats = {
            "success": dataclasses.asdict(self.success),
            "fail": dataclasses.asdict(self.fail),
            "queue": dataclasses.asdict(self.queue),
            "compute_input": nothing,
            "compute_infer": dataclasses.asdict(self.infer),
            "compute_output": nothing,
            "cache_hit": nothing,
            "cache_miss": nothing,
        }
        batches = [
            {
                "batch_size": size,
                "compute_input": nothing,
                "compute_infer": dataclasses.asdict(duration),
                "compute_output": nothing,
            }
            for size, duration in sorted(self.batches.items())
        ]
        return {
            "last_inference": int(self._last * 1000),
            "inference_count": self.inferences,
            "execution_count": self.executions,
            "inference_stats": stats,
            "batch_stats": batches,
        }
