"""The Python client: a file of its own, without anything installed."""

import importlib.util
import sys

import pytest

from components.base.fingerprint import ROOT
from tests.helpers.client_checks import TOKEN, check_command, service

FILE = ROOT / "serving/clients/python/classify.py"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("service")) as found:
        yield found


def test_the_command_prints_the_classes_of_the_model_and_the_errors_of_the_server(running):
    check_command(running, sys.executable, "-I", "-S", str(FILE))  # -S: without site-packages


def test_the_library_gives_labels_and_probabilities(running):
    specification = importlib.util.spec_from_file_location("classify", FILE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    client = module.Client(running.url + "/", "digits", TOKEN)
    for image in running.images:
        found, expected = (
            client.classify(image.read_bytes(), 5),
            running.expected("digits", image, 5),
        )
        assert [label for label, _ in found] == [label for label, _ in expected]
        assert [share for _, share in found] == pytest.approx([share for _, share in expected])
    with pytest.raises(module.ClientError, match="they are not an image"):
        client.classify(b"no picture")
    with pytest.raises(module.ClientError, match="gives no answer: unknown url type"):
        module.Client("127.0.0.1:8080", "digits").classify(b"")
