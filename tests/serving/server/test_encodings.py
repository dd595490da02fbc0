"""Every protocol and encoding gives one answer, to the last bit."""

import numpy as np
import pytest

from serving.inference.model import Model
from serving.store.release import Release
from serving.store.store import Store
from tests.helpers.serving_fixtures import digits, digits_release, free_port, server
from tests.helpers.servings import ENCODINGS, Asking


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """(client of a running server, the model in this process)."""
    directory = tmp_path_factory.mktemp("line")
    source = digits_release(directory / "source")
    Store(directory / "out/serving").publish("digits", source)
    port = free_port()
    with server(directory / "out", "--grpc-port", str(port), "--threads", "1") as (base, _, _):
        client = Asking(int(base.rpartition(":")[2]), port)
        yield client, Model(Release("digits", 1, source), threads=1)
        client.close()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_answer_is_the_models_on_every_image(line, encoding):
    client, model = line
    size = 1 if encoding == "oip_raw" else 64
    images = digits()[0][:300] if encoding == "oip_raw" else digits()[0]
    for start in range(0, len(images), size):
        part = images[start : start + size]
        received = getattr(client, encoding)(part)
        assert received.dtype == np.float32
        np.testing.assert_array_equal(received, model.run(part))


def test_raw_requests_agree_with_single_images_in_json(line):
    client, _ = line
    images = digits()[0][:40]
    single = np.concatenate([client.oip_json(images[i : i + 1]) for i in range(len(images))])
    np.testing.assert_array_equal(client.oip_raw(images), single)
