"""Micro-batches: who waits together is answered together, each with its own answer."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.inference.errors import ServingError, Unavailable
from serving.inference.model import Model
from serving.server.batching import (
    INLINE_SECONDS,
    Batcher,
    Cost,
    cost,
)
from serving.store.release import Release
from tests.helpers.serving_fixtures import digits, digits_release


class Watched(Model):
    """Notes the size of each inference, and in which thread it ran; waits until it may go on."""

    def __init__(self, release):
        super().__init__(release, threads=1)
        self.sizes: list[int] = []
        self.threads: list[str] = []
        self.running = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def run(self, images):
        if hasattr(self, "gate"):  # not while it is loaded
            self.sizes.append(len(images))
            self.threads.append(threading.current_thread().name)
            self.running.release()
            assert self.gate.wait(30)
        return super().run(images)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return Release("digits", 1, digits_release(tmp_path_factory.mktemp("release") / "1"))


@pytest.fixture
def model(release):
    return Watched(release)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2, "inference") as pool:
        yield pool


def both(batcher, requests) -> list[np.ndarray]:
    async def ask():
        return await asyncio.gather(*(batcher.infer(images) for images in requests))

    return asyncio.run(ask())


ON_THE_LOOP = Cost(INLINE_SECONDS / 2, 1e-9)


@pytest.mark.parametrize("cost", [None, ON_THE_LOOP])
def test_everybody_gets_the_answer_of_the_own_images(model, threads, cost):
    images = digits()[0]
    requests = [images[start : start + 1 + start % 5] for start in range(0, 400, 5)]
    batcher = Batcher(model, threads, workers=2, queue=100, cost=cost)
    answers = both(batcher, requests)
    assert len(model.sizes) < len(requests) / 4 and max(model.sizes) <= model.max_batch
    assert sum(model.sizes) == sum(map(len, requests))
    for request, answer in zip(requests, answers):
        np.testing.assert_allclose(answer, Model.run(model, request), atol=1e-6)
    on_the_loop = {"MainThread"} if cost else set()
    assert ({"MainThread"} & set(model.threads)) == on_the_loop


def test_batch_mates_never_change_the_most_probable_class(release):
    model, (images, _) = Model(release, threads=1), digits()
    alone = np.concatenate([model.run(images[i : i + 1]) for i in range(len(images))])
    for size in (2, 7, 64):
        starts = range(0, len(images), size)
        together = np.concatenate([model.run(images[start : start + size]) for start in starts])
        np.testing.assert_array_equal(alone.argmax(1), together.argmax(1))


def test_what_waits_is_spread_over_the_workers_that_are_idle(model, threads):
    batcher = Batcher(model, threads, workers=2, queue=100)
    both(batcher, [digits()[0][:1]] * 10)
    assert sorted(model.sizes) == [5, 5]


def test_a_request_is_never_split(model, threads):
    batcher = Batcher(model, threads, workers=2, queue=100)
    both(batcher, [digits()[0][:60], digits()[0][:30], digits()[0][:64]])
    assert sorted(model.sizes) == [30, 60, 64]


def test_without_a_delay_nobody_waits_for_those_who_are_not_there(model, threads):
    batcher = Batcher(model, threads, workers=1, queue=100)

    async def ask():
        await batcher.infer(digits()[0][:1])
        await batcher.infer(digits()[0][:1])

    asyncio.run(ask())
    assert model.sizes == [1, 1]


def test_with_a_delay_those_who_come_meanwhile_join_in(model, threads):
    batcher = Batcher(model, threads, workers=1, queue=100, delay=0.3)

    async def ask():
        first = asyncio.create_task(batcher.infer(digits()[0][:1]))
        await asyncio.sleep(0.02)
        await asyncio.gather(first, batcher.infer(digits()[0][:2]))

    asyncio.run(ask())
    assert model.sizes == [3]


def test_a_full_batch_does_not_wait_for_the_delay(model, threads):
    batcher = Batcher(model, threads, workers=1, queue=100, delay=60)
    both(batcher, [digits()[0][:64]])
    assert model.sizes == [64]


def test_beyond_the_queue_the_answer_is_unavailable_at_once(model, threads):
    batcher = Batcher(model, threads, workers=1, queue=3)
    model.gate.clear()

    async def ask():
        running = asyncio.create_task(batcher.infer(digits()[0][:1]))
        assert await asyncio.to_thread(model.running.acquire, timeout=30)
        waiting = [asyncio.create_task(batcher.infer(digits()[0][:1])) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="3 requests wait for digits") as caught:
            await batcher.infer(digits()[0][:1])
        assert (caught.value.status, caught.value.reason) == (503, "queue")
        model.gate.set()
        await asyncio.gather(running, *waiting)

    asyncio.run(ask())
    assert sum(model.sizes) == 4


def test_whoever_leaves_frees_the_place_in_the_queue_and_is_not_computed(model, threads):
    batcher = Batcher(model, threads, workers=1, queue=2)
    model.gate.clear()

    async def ask():
        running = asyncio.create_task(batcher.infer(digits()[0][:1]))
        assert await asyncio.to_thread(model.running.acquire, timeout=30)
        leaving = [asyncio.create_task(batcher.infer(digits()[0][:4])) for _ in range(2)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert len(batcher) == 0
        staying = asyncio.create_task(batcher.infer(digits()[0][:2]))
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(running, staying)

    asyncio.run(ask())
    assert model.sizes == [1, 2]


def test_the_model_s_failure_is_that_of_its_batch_alone(release, threads):
    class Failing(Model):
        broken = False

        def run(self, images):
            if self.broken:
                raise RuntimeError("out of memory")
            return super().run(images)

    model = Failing(release, threads=1)
    batcher = Batcher(model, threads, workers=1, queue=10)
    model.broken = True

    async def ask():
        failed = await asyncio.gather(
            *(batcher.infer(digits()[0][:1]) for _ in range(3)), return_exceptions=True
        )
        model.broken = False
        return failed, await batcher.infer(digits()[0][:1])

    failed, answer = asyncio.run(ask())
    assert [type(error) for error in failed] == [ServingError] * 3
    assert "out of memory" in repr(failed[0].__cause__) and "memory" not in str(failed[0])
    assert answer.shape == (1, 10)


def test_images_seconds_and_waits_of_each_batch_are_observed(model, threads):
    seen = []
    batcher = Batcher(model, threads, 1, 10, observe=lambda *facts: seen.append(facts))
    both(batcher, [digits()[0][:1], digits()[0][:2]])
    ((images, waited, seconds),) = seen
    assert images == 3 and len(waited) == 2 and seconds > 0 and all(w >= 0 for w in waited)


@pytest.mark.parametrize(
    ("first", "further", "images"),
    [(5, 1, 6), (10, 1, 1), (10.5, 1, 0), (1, 0.5, 19), (1, 0.1, 64), (1, -0.1, 64), (1, 0, 64)],
)
def test_what_fits_a_time_follows_from_the_cost(first, further, images):
    assert Cost(first, further).images(10, 64) == images


def test_the_cost_of_a_small_model_is_that_of_its_inferences(release):
    measured = cost(Model(release, threads=1))
    assert 0 < measured.first < 1 and abs(measured.further) < 1


@pytest.mark.parametrize("cost", [None, ON_THE_LOOP])
def test_who_is_alone_is_answered_at_once_if_that_is_quick(model, threads, cost):
    batcher = Batcher(model, threads, 1, 100, cost=cost)
    coroutine = batcher.infer(digits()[0][:1], alone=True)

    async def ask():
        if cost is None:
            return await coroutine
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)  # without a turn of the loop
        return done.value.value

    np.testing.assert_array_equal(asyncio.run(ask()), Model.run(model, digits()[0][:1]))
    assert model.threads == ["inference_0" if cost is None else "MainThread"]
