"""A real gRPC server in this process, on a port of its own, over real releases."""

import asyncio
import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import uvloop

from serving.server.dataplane import Dataplane
from serving.server.grpc_server import Handle, Options, start
from serving.server.limits import Limits
from serving.server.metrics import Metrics
from serving.server.protos.pool import methods
from serving.server.swap import Follower
from serving.store.store import Store
from tests.helpers.serving_fixtures import REPOSITORY, digits_release

SECONDS = 20
"""The most that anything of a test waits."""


_WITHOUT_TENSORFLOW = """
import importlib.util, sys, types
package = types.ModuleType("tensorflow")
package.__path__ = list(importlib.util.find_spec("tensorflow").submodule_search_locations)
sys.modules["tensorflow"] = package
"""


def run_with_published_messages(script: str, text: str = "") -> str:
    """What a script prints that imports `tensorflow.core` and `tensorflow_serving.apis`: the
    published messages, but not TensorFlow, which takes long. `text` is its standard input."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TENSORFLOW + script],
        cwd=REPOSITORY,
        # The other implementation of protobuf refuses what the old generated modules do.
        env=os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@dataclasses.dataclass
class Running:
    """What a test has of a server: its address, and its core, which belongs to `loop`."""

    target: str
    dataplane: Dataplane
    follower: Follower
    loop: asyncio.AbstractEventLoop
    handle: Handle

    def call(self, coroutine):
        """The result of a coroutine that runs on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SECONDS)


@contextlib.contextmanager
def grpc_server(
    store: Path, limits: Limits | None = None, grace: float = 1.0, **options
) -> Iterator[Running]:
    """Serves every model of `store` on its own event loop, in a thread, until left."""
    ready = threading.Event()
    found: list[tuple[Running, asyncio.Event]] = []
    failed: list[BaseException] = []

    async def serve() -> None:
        dataplane = Dataplane(Metrics(), limits or Limits(), 2)
        follower = Follower(Store(store), [], dataplane)
        handle = await start(dataplane, follower, Options(port=0, **options))
        try:
            await follower.start()
            dataplane.ready = True
            loop, stop = asyncio.get_running_loop(), asyncio.Event()
            target = f"127.0.0.1:{handle.port}"
            found.append((Running(target, dataplane, follower, loop, handle), stop))
            ready.set()
            await stop.wait()
        finally:
            dataplane.ready = False
            await handle.stop(grace)
            follower.close()
            dataplane.close()

    def run() -> None:
        try:
            uvloop.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(SECONDS)
    if failed:
        raise failed[0]
    (running, stop), *_ = found
    try:
        yield running
    finally:
        running.loop.call_soon_threadsafe(stop.set)
        thread.join(SECONDS)
    assert not thread.is_alive() and not failed, failed


class Client:
    """Calls any method of a service by its name, with our message classes."""

    def __init__(self, channel: grpc.Channel, service: str):
        self._channel, self._service = channel, service
        self._methods = methods(service)

    def __call__(self, method: str, metadata=None, **fields):
        """The response to the request with these fields. Raises grpc.RpcError."""
        request, response = self._methods[method]
        return self._channel.unary_unary(
            f"/{self._service}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )(request(**fields), timeout=SECONDS, metadata=metadata)

    def stream(self, method: str, requests):
        """The responses to a stream of requests, as they come."""
        request, response = self._methods[method]
        return self._channel.stream_stream(
            f"/{self._service}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )(requests, timeout=SECONDS)


ONE = np.zeros((1, 8, 8, 1), np.uint8)
INFER = {
    "model_name": "digits",
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": ONE.shape}],
    "raw_input_contents": [ONE.tobytes()],
}
"""Fields of a request to ModelInfer."""


def digits_store(directory: Path) -> Path:
    """A store with one release of `digits`."""
    Store(directory / "serving").publish("digits", digits_release(directory / "source"))
    return directory / "serving"


def failure(call, *arguments, **fields) -> tuple[grpc.StatusCode, str]:
    """Status and message of the error that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **fields)
    return caught.value.code(), caught.value.details()


def probabilities(answer) -> np.ndarray:
    """The raw output of a ModelInferResponse."""
    return np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(-1, 10)


def eventually(condition) -> None:
    """Waits until `condition()` is true."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
