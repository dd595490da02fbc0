"""What every protocol asks for: a version of a model, and its answer. No transport here."""

import asyncio
import dataclasses
import difflib
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from serving.contract.image_spec import decode
from serving.inference.errors import InvalidRequest, NotFound, ServingError, Unavailable
from serving.inference.model import Model
from serving.server.batching import Batcher
from serving.server.limits import Limits
from serving.server.metrics import Metrics
from serving.server.statistics import Statistics

_Read = TypeVar("_Read")


@dataclasses.dataclass(frozen=True)
class Version:
    """A loaded version of a model."""

    model: Model
    batcher: Batcher
    statistics: Statistics


@dataclasses.dataclass(frozen=True)
class Served:
    """What is served of one model; replaced as a whole when anything of it changes."""

    name: str
    default: Version
    """The current version, unless another was asked for at start."""
    versions: Mapping[str, Version]
    """By number, the default one included."""
    labels: Mapping[str, str]
    """Label to number."""


class Dataplane:
    """Belongs to one event loop. `served` is what `serving.server.swap` keeps up to date."""

    def __init__(self, metrics: Metrics, limits: Limits, workers: int):
        """`workers`: inferences, and decodings, that run at once."""
        self.metrics = metrics
        self.limits = limits
        self.workers = workers
        self.served: Mapping[str, Served] = {}
        self.ready = False
        """False while the first models are loaded, and from SIGTERM on."""
        self.inferences = ThreadPoolExecutor(workers, "inference")
        self._decoders = ThreadPoolExecutor(workers, "decode")
        self._decoding = 0
        # One, because Python parses in one thread at a time: several would only hold more in
        # memory, and the event loop up.
        self._parsers = ThreadPoolExecutor(1, "parse")

    def models(self) -> list[Served]:
        """By name."""
        return [self.served[name] for name in sorted(self.served)]

    def served_model(self, name: str) -> Served:
        """Raises NotFound, or Unavailable while models are being loaded."""
        found = self.served.get(name)
        if found is None:
            if not self.ready:
                raise Unavailable("the server is not ready: try again later.", "not_ready")
            raise NotFound(
                f"Request for unknown model: {name[:100]!r} is not found; "
                f"{_known(name, self.served)}"
            )
        return found

    def find(self, name: str, version: str | None = None, label: str | None = None) -> Version:
        """The version named by number or label, or the default one.

        Raises NotFound, InvalidRequest for an unknown label (as TensorFlow Serving has it), or
        Unavailable while models are being loaded.
        """
        served = self.served_model(name)
        if label is not None:
            if label not in served.labels:
                raise InvalidRequest(
                    f"Unrecognized servable version label: {label[:100]!r} of {name};"
                    f" {_known(label, served.labels)}"
                )
            version = served.labels[label]
        if not version:
            return served.default
        if version not in served.versions:
            numbers = " and ".join(sorted(served.versions, key=int))
            verb = "is" if len(served.versions) == 1 else "are"
            raise NotFound(
                f"version {version[:20]} of {name} is not served: version {numbers} {verb}."
            )
        return served.versions[version]

    async def parsed(self, read: Callable[[], _Read]) -> _Read:
        """What `read` makes of a large body: in a thread, as the event loop must go on."""
        return await asyncio.get_running_loop().run_in_executor(self._parsers, read)

    async def infer(self, version: Version, images: np.ndarray) -> np.ndarray:
        """`images` uint8 (N, H, W, C), to probabilities float32 (N, classes).

        Raises InvalidRequest, TooLarge, or Unavailable when too many wait.
        """
        if images.dtype != np.uint8:
            raise InvalidRequest(f"{version.model.input_name} is {images.dtype}, expected uint8.")
        version.model.check_shape(images.shape)
        return await version.batcher.infer(images)

    async def infer_encoded(self, version: Version, files: list[bytes]) -> np.ndarray:
        """JPEG, PNG, GIF, BMP, WEBP or TIFF files, decoded as at ingest, to float32 (N, classes).

        Raises InvalidRequest naming the file that is no image, else as `infer`.
        """
        model = version.model
        if not files:
            raise InvalidRequest("there is no image in the request, expected at least one.")
        model.check_count(len(files))
        if self._decoding >= self.limits.queue:
            raise Unavailable("as many requests with encoded images wait as may.", "queue")
        self._decoding += 1
        try:
            loop = asyncio.get_running_loop()
            images = await loop.run_in_executor(self._decoders, self._decode, version, files)
        finally:
            self._decoding -= 1
        return await version.batcher.infer(images)

    def _decode(self, version: Version, files: list[bytes]) -> np.ndarray:
        images = []
        for number, data in enumerate(files):
            try:
                images.append(decode(data, version.model.spec, self.limits.megapixels))
            except ValueError as error:
                which = f"image {number}: " if len(files) > 1 else ""
                raise InvalidRequest(f"{which}{error}") from error
        return np.stack(images)

    def answered(self, protocol: str, version: Version | None, status: int, started: float) -> None:
        """Counts a request that began at `started` (of time.perf_counter)."""
        seconds = time.perf_counter() - started
        if version is None:
            self.metrics.answered("", "", protocol, status, seconds)
        else:
            version.statistics.answered(status < 400, seconds)
            model = version.model
            self.metrics.answered(model.name, model.version, protocol, status, seconds)

    def failed(self, error: ServingError) -> None:
        """Counts what a limit turned away."""
        if isinstance(error, Unavailable):
            self.metrics.rejected(error.reason)

    def close(self) -> None:
        """Ends the threads; what waits for them is given up."""
        self.inferences.shutdown(wait=False, cancel_futures=True)
        self._parsers.shutdown(wait=False, cancel_futures=True)
        self._decoders.shutdown(wait=False, cancel_futures=True)


def _known(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name[:100], names, n=1, cutoff=0.5)
    listed = ", ".join(sorted(names)) or "none"
    return f"did you mean {close[0]}?" if close else f"served: {listed}."
