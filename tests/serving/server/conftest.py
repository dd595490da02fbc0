"""What the tests of the gRPC server share, unless a file has its own."""

import grpc
import pytest

from tests.helpers.grpc_servers import digits_store, grpc_server


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The root of a store with a release of digits."""
    return digits_store(tmp_path_factory.mktemp("line"))


@pytest.fixture(scope="module")
def running(store):
    """A gRPC server of it, in this process."""
    with grpc_server(store) as server:
        yield server


@pytest.fixture
def channel(running):
    """To that server."""
    with grpc.insecure_channel(running.target) as channel:
        yield channel
