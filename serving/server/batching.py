"""Micro-batching: requests that wait at the same moment share one inference.

Everything but the inference itself happens on the event loop. An inference of few images of a small
model costs less than handing it to a thread, and runs on the loop as well; longer ones run in
threads, as many at once as there are cores, each with one thread of its own.
"""

import asyncio
import dataclasses
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from serving.inference.errors import ServingError, Unavailable
from serving.inference.model import Model

INLINE_SECONDS = 1e-3
"""The longest inference that may hold up the event loop."""
_CALLS = 20
"""Timed for one image and for many."""
_MANY = 16


class _Waiting:
    __slots__ = ("images", "future", "since")

    def __init__(self, images: np.ndarray, future: asyncio.Future):
        self.images = images
        self.future = future
        self.since = time.perf_counter()


Observer = Callable[[int, list[float], float], None]
"""(images, seconds that each request of the batch waited, seconds of the inference)."""


class Batcher:
    """Inferences of one model. `workers` run at once; `queue` requests may wait for one, each up to
    `delay` seconds for others to join it. `cost` says what may run on the event loop; nothing if it
    is None.
    """

    def __init__(
        self,
        model: Model,
        threads: ThreadPoolExecutor,
        workers: int,
        queue: int,
        delay: float = 0.0,
        cost: "Cost | None" = None,
        observe: Observer = lambda images, waited, seconds: None,
    ):
        self._model = model
        self._threads = threads
        self.workers = workers
        self._queue = queue
        self.delay = delay
        self._inline = cost.images(INLINE_SECONDS, model.max_batch) if cost else 0
        self._observe = observe
        self._waiting: deque[_Waiting] = deque()
        self._images = 0  # of those that wait
        self._running = 0
        self._scheduled: asyncio.Handle | None = None

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    async def infer(self, images: np.ndarray, alone: bool = False) -> np.ndarray:
        """Checked `images` uint8 (N, H, W, C), to float32 (N, classes). `alone`: nobody else is
        there who could share the inference.

        Raises Unavailable when too many wait. A caller that is cancelled leaves the queue.
        """
        if alone and len(images) <= self._inline and not (self._waiting or self._running):
            answers, started, ended = self._run(images)
            if isinstance(answers, Exception):
                raise self._failure(answers)
            self._observe(len(images), [0.0], ended - started)
            return answers
        if len(self._waiting) >= self._queue:
            raise Unavailable(
                f"{len(self._waiting)} requests wait for {self._model.name}, as many as may:"
                " try again later.",
                "queue",
            )
        loop = asyncio.get_running_loop()
        entry = _Waiting(images, loop.create_future())
        self._waiting.append(entry)
        self._images += len(images)
        if self._images >= self._model.max_batch:
            self._dispatch()  # nothing to wait for
        elif self._scheduled is None:
            # Even without delay, what else this turn of the loop has received joins in.
            later = loop.call_later(self.delay, self._turn) if self.delay else None
            self._scheduled = later or loop.call_soon(self._turn)
        try:
            return await entry.future
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._images -= len(images)
            raise

    def _turn(self) -> None:
        self._scheduled = None
        self._dispatch()

    def _dispatch(self) -> None:
        while self._waiting and self._running < self.workers:
            batch = self._take()
            if not self._running and sum(len(entry.images) for entry in batch) <= self._inline:
                self._finish(batch, *self._run(_together(batch)))
            else:
                self._running += 1
                loop = asyncio.get_running_loop()
                self._threads.submit(self._work, batch, loop)

    def _take(self) -> list[_Waiting]:
        """The oldest requests, in a batch that leaves idle workers their share."""
        most = self._model.max_batch
        if self._images > self._inline:
            most = min(most, -(-self._images // (self.workers - self._running)))
        entry = self._waiting.popleft()
        batch, images = [entry], len(entry.images)
        while self._waiting and images + len(self._waiting[0].images) <= most:
            entry = self._waiting.popleft()
            batch.append(entry)
            images += len(entry.images)
        self._images -= images
        return batch

    def _run(self, images: np.ndarray) -> tuple[np.ndarray | Exception, float, float]:
        started = time.perf_counter()
        try:
            answers = self._model.run(images)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's types are not public
            return error, started, time.perf_counter()
        return answers, started, time.perf_counter()

    def _failure(self, reason: Exception) -> ServingError:
        error = ServingError(f"{self._model.name} failed: the server's log says more.")
        error.__cause__ = reason
        return error

    def _work(self, batch: list[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        done = self._run(_together(batch))
        try:
            loop.call_soon_threadsafe(self._finish_thread, batch, *done)
        except RuntimeError:
            pass  # the loop has ended: nobody waits

    def _finish_thread(
        self, batch: list[_Waiting], answers: np.ndarray | Exception, started: float, ended: float
    ) -> None:
        self._running -= 1
        self._finish(batch, answers, started, ended)
        self._dispatch()

    def _finish(
        self, batch: list[_Waiting], answers: np.ndarray | Exception, started: float, ended: float
    ) -> None:
        if isinstance(answers, Exception):
            for entry in batch:
                if not entry.future.done():
                    entry.future.set_exception(self._failure(answers))
            return
        start = 0
        for entry in batch:
            end = start + len(entry.images)
            if not entry.future.done():  # its client may have left meanwhile
                entry.future.set_result(answers[start:end])
            start = end
        self._observe(start, [started - entry.since for entry in batch], ended - started)


def _together(batch: list[_Waiting]) -> np.ndarray:
    if len(batch) == 1:
        return batch[0].images
    return np.concatenate([entry.images for entry in batch])


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds of an inference of one image, and of each further one, with a single thread."""

    first: float
    further: float

    def images(self, seconds: float, most: int) -> int:
        """How many images an inference of at most `seconds` may have, up to `most`; or none."""
        if self.first > seconds:
            return 0
        return min(most, 1 + int((seconds - self.first) / max(self.further, 1e-9)))


def cost(model: Model) -> Cost | None:
    """Measures, and so warms up. None where a GPU answers: the loop may not wait for it."""
    _seconds(model, model.max_batch, 1)
    one, many = _seconds(model, 1, _CALLS), _seconds(model, _MANY, _CALLS)
    if model.provider != "CPU":
        return None
    return Cost(one, (many - one) / (_MANY - 1))


def _seconds(model: Model, images: int, calls: int) -> float:
    """The fastest of some calls: slower ones were interrupted."""
    batch = np.zeros((images, *model.spec.shape), np.uint8)
    fastest = float("inf")
    for _ in range(calls):
        started = time.perf_counter()
        model.run(batch)
        fastest = min(fastest, time.perf_counter() - started)
    return fastest
