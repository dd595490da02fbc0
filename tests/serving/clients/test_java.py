"""The Java client: the JDK only."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from components.base.fingerprint import ROOT
from tests.helpers.client_checks import TOKEN, check_command, service
from tests.helpers.serving_fixtures import digits

pytestmark = pytest.mark.skipif(shutil.which("javac") is None, reason="no javac on PATH")
FILE = ROOT / "serving/clients/java/Classify.java"
_USER = """
public class User {
    public static void main(String[] words) throws Exception {
        byte[] pixels = System.in.readAllBytes();
        Classify client = new Classify(words[0], "digits", words[1]);
        float[][] rows = client.infer(pixels, pixels.length / 64, 8, 8, 1);
        System.out.println(java.util.Arrays.deepToString(rows));
    }
}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    """The command that runs a compiled class, whose name it lacks."""
    folder = tmp_path_factory.mktemp("java")
    (folder / "User.java").write_text(_USER)
    command = ["javac", "-Xlint:all", "-Werror", "-d", folder, FILE, folder / "User.java"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if "invalid flag" in done.stderr or "records are" in done.stderr:
        pytest.skip("javac is older than 17")
    assert done.returncode == 0, done.stderr
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(folder)]


def test_the_command_prints_the_classes_of_the_model_and_the_errors_of_the_server(running, java):
    check_command(running, *java, "Classify")


def test_a_batch_of_pixels_gives_the_probabilities_of_the_model(running, java):
    images = digits()[0][:5]
    command = [*java, "User", running.url, TOKEN]
    done = subprocess.run(command, input=images.tobytes(), capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    found = np.array(json.loads(done.stdout))
    np.testing.assert_allclose(found, running.models["digits"].infer(images), atol=1e-6)
