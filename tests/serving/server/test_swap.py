"""The server follows the store: publishes, rollbacks, labels, releases that cannot be served."""

import asyncio
import contextlib
import json

import numpy as np
import pytest

from serving.inference.errors import InvalidRequest, NotFound, NotServable, Unavailable
from serving.server import swap
from serving.server.dataplane import Dataplane
from serving.server.limits import Limits
from serving.server.metrics import Metrics
from serving.server.swap import Follower, Selection
from serving.store.release import StoreError
from serving.store.store import Store
from tests.helpers.serving_fixtures import digits, digits_release


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Releases by name of the model; `wrong` does not repeat its golden answers."""
    directory = tmp_path_factory.mktemp("sources")
    return {
        "digits": digits_release(directory / "good"),
        "wrong": digits_release(directory / "wrong", scale=1.01),
        "other": digits_release(directory / "other", name="other"),
    }


@pytest.fixture
def store(tmp_path, sources):
    store = Store(tmp_path / "serving")
    store.publish("digits", sources["digits"])
    return store


@contextlib.asynccontextmanager
async def following(store, *selections):
    """(dataplane, follower) that has started."""
    dataplane = Dataplane(Metrics(), Limits(), workers=1)
    follower = Follower(store, [Selection.parse(text) for text in selections], dataplane)
    try:
        await follower.start()
        dataplane.ready = True
        yield dataplane, follower
    finally:
        follower.close()
        dataplane.close()


async def settled(follower) -> None:
    """One look at the store, as every half second."""
    await follower._update()


def metric(dataplane, line: str) -> bool:
    return f"\n{line}\n" in dataplane.metrics.text().decode()


def test_a_publish_and_a_rollback_are_followed(store, sources):
    async def watch():
        async with following(store) as (dataplane, follower):
            assert dataplane.find("digits").model.version == "1"
            store.publish("digits", sources["digits"])
            await settled(follower)
            assert dataplane.find("digits").model.version == "2"
            with pytest.raises(NotFound, match="version 1 of digits is not served: version 2 is"):
                dataplane.find("digits", "1")
            store.rollback("digits")
            await settled(follower)
            assert dataplane.find("digits").model.version == "1"
            assert metric(dataplane, 'darkroom_version_loaded{model="digits",version="2"} 0.0')
            assert metric(dataplane, 'darkroom_current_version{model="digits"} 1.0')

    asyncio.run(watch())


def test_it_looks_at_the_store_by_itself_within_two_seconds(store, sources):
    assert swap.POLL_SECONDS <= 1

    async def watch():
        async with following(store) as (dataplane, follower):
            task = asyncio.create_task(follower.follow())
            store.publish("digits", sources["digits"])
            for _ in range(200):
                if dataplane.find("digits").model.version == "2":
                    break
                await asyncio.sleep(0.05)
            task.cancel()
            assert dataplane.find("digits").model.version == "2"

    asyncio.run(watch())


def test_a_version_that_cannot_be_served_leaves_the_one_before(store, sources, capsys):
    async def watch():
        async with following(store) as (dataplane, follower):
            store.publish("digits", sources["wrong"])
            await settled(follower)
            await settled(follower)
            assert dataplane.find("digits").model.version == "1"
            line = 'darkroom_loads_total{model="digits",outcome="failed"} 1.0'
            assert metric(dataplane, line), "it is not tried again at once"
            store.publish("digits", sources["digits"])
            await settled(follower)
            assert dataplane.find("digits").model.version == "3"

    asyncio.run(watch())
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (failed,) = [event for event in events if event["event"] == "load_failed"]
    assert failed["version"] == 2 and "does not give its golden outputs" in failed["error"]


def test_a_first_version_that_cannot_be_served_is_refused(tmp_path, sources):
    store = Store(tmp_path / "serving")
    store.publish("digits", sources["wrong"])

    async def watch():
        with pytest.raises(NotServable, match="golden"):
            async with following(store):
                pass

    asyncio.run(watch())


def test_labelled_versions_are_served_beside_the_current_one(store, sources):
    async def watch():
        async with following(store) as (dataplane, follower):
            store.publish("digits", sources["digits"])
            store.label("digits", "stable", 1)
            await settled(follower)
            assert dataplane.find("digits").model.version == "2"
            assert dataplane.find("digits", label="stable").model.version == "1"
            assert dataplane.find("digits", "1").model.version == "1"
            with pytest.raises(InvalidRequest, match="label: 'stabel' of digits.*you mean stable"):
                dataplane.find("digits", label="stabel")
            loaded = dataplane.find("digits", "1")
            store.label("digits", "canary", 1)
            await settled(follower)
            assert dataplane.find("digits", label="canary") is loaded, "not loaded again"
            for label in ("stable", "canary"):
                store.unlabel("digits", label)
            await settled(follower)
            with pytest.raises(NotFound):
                dataplane.find("digits", "1")

    asyncio.run(watch())


def test_a_pinned_version_stays(store, sources):
    store.publish("digits", sources["digits"])

    async def watch():
        async with following(store, "digits@1") as (dataplane, follower):
            store.publish("digits", sources["digits"])
            await settled(follower)
            assert dataplane.find("digits").model.version == "1"

    asyncio.run(watch())


def test_all_models_are_served_and_new_ones_too_unless_some_are_named(store, sources):
    async def watch():
        async with following(store) as (all_of, follower), following(store, "digits") as (one, f):
            store.publish("other", sources["other"])
            await settled(follower)
            await settled(f)
            assert [served.name for served in all_of.models()] == ["digits", "other"]
            assert [served.name for served in one.models()] == ["digits"]

    asyncio.run(watch())


def test_a_damaged_history_stops_neither_its_model_nor_the_others(store, sources, capsys):
    async def watch():
        async with following(store) as (dataplane, follower):
            history = store.root / "models/digits/history.jsonl"
            kept = history.read_text()
            history.write_text("junk")
            await settled(follower)
            await settled(follower)
            assert dataplane.find("digits").model.version == "1"
            history.write_text(kept)
            store.publish("other", sources["other"])
            history.write_text("junk")
            await settled(follower)
            assert dataplane.find("other").model.version == "1"
            history.write_text(kept)
            store.publish("digits", sources["digits"])
            await settled(follower)
            assert dataplane.find("digits").model.version == "2"

    asyncio.run(watch())
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    damaged = [event for event in events if event["event"] == "store_unreadable"]
    assert [event["model"] for event in damaged] == ["digits"], "said once"


def test_a_model_can_be_unloaded_and_loaded_again(store):
    async def watch():
        async with following(store) as (dataplane, follower):
            await follower.unload("digits")
            await settled(follower)
            with pytest.raises(NotFound):
                dataplane.find("digits")
            await follower.load("digits")
            assert dataplane.find("digits").model.version == "1"
            with pytest.raises(StoreError, match="did you mean digits"):
                await follower.load("digit")

    asyncio.run(watch())


def test_requests_under_way_end_with_the_version_they_began_with(store, sources):
    async def watch():
        async with following(store) as (dataplane, follower):
            before = dataplane.find("digits")
            store.publish("digits", sources["digits"])
            await settled(follower)
            answer = await dataplane.infer(before, digits()[0][:2])
            assert np.isfinite(answer).all() and before.model.version == "1"

    asyncio.run(watch())


def test_before_the_first_model_is_loaded_the_answer_is_later_not_unknown():
    dataplane = Dataplane(Metrics(), Limits(), workers=1)
    with pytest.raises(Unavailable, match="not ready"):
        dataplane.find("digits")
    dataplane.close()


@pytest.mark.parametrize("text", ["digits@", "digits@x", "digits@0", "digits@-1"])
def test_a_selection_that_is_none_is_explained(text):
    with pytest.raises(ValueError, match="expected NAME or NAME@VERSION"):
        Selection.parse(text)
