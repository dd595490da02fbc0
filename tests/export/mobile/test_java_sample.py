"""The Java samples: run on every bundle by Maven, as their README says; the Android one compiled.

Preprocessing needs the JDK only, and is compared with the server's on pictures of many shapes.
"""

import json
import shutil
import subprocess
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.base.fingerprint import ROOT
from serving.contract.image_spec import ImageSpec, fit
from tests.helpers.self_tests import check_finds_an_altered_probability, check_passes

SAMPLES = ROOT / "export/mobile/samples"
_DRIVER = """
import java.io.DataInputStream;

public class Driver {  // height, width and pixels of a picture after the other on standard input
    public static void main(String[] words) throws Exception {
        int[] n = new int[5];
        for (int i = 0; i < n.length; i++) n[i] = Integer.parseInt(words[i]);
        Preprocessing preprocessing = new Preprocessing(n[0], n[1], n[2], n[3], n[4], words[5]);
        DataInputStream input = new DataInputStream(System.in);
        while (input.available() > 0) {
            int height = input.readInt(), width = input.readInt();
            int[] pixels = new int[height * width];
            for (int i = 0; i < pixels.length; i++) pixels[i] = input.readInt();
            System.out.write(preprocessing.apply(pixels, height, width));
        }
        System.out.flush();
    }
}
"""
_LIBRARIES = (
    "org.tensorflow:tensorflow-lite-api:2.16.1:aar",
    "com.google.android:android:4.1.1.4:jar",
    "org.json:json:20080701:jar",
)
"""What LiteRtClassifier.java compiles against: an Android so old has all that it calls."""


def _run(*command: str | Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command], check=False, capture_output=True, timeout=300, **options
    )


def _needs(*tools: str) -> None:
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")


@pytest.fixture(scope="module")
def maven() -> tuple[str, ...]:
    """Maven's command, where it finds what the sample needs."""
    _needs("mvn", "javac")
    command = ("mvn", "-q", "-B", "-ntp")
    done = _run(*command, "-f", SAMPLES / "java/pom.xml", "dependency:resolve")
    if done.returncode:
        pytest.skip(f"Maven has not the libraries: {done.stdout.decode()[:200]}")
    return command


def _selftest(maven: tuple[str, ...], bundle: Path) -> tuple[int, str]:
    done = _run(*maven, "-f", "java/pom.xml", "compile", "exec:java", "-Dexec.args=.", cwd=bundle)
    lines = done.stdout.decode().replace("\x1b[0m", "").strip().splitlines()
    return done.returncode, next((x for x in lines if x.startswith(("ok", "FAILED"))), str(done))


@pytest.mark.full
def test_the_self_test_passes_and_finds_an_altered_golden_probability(maven, bundle):
    check_passes(partial(_selftest, maven), bundle)

    check_finds_an_altered_probability(partial(_selftest, maven), bundle)


@pytest.mark.full
def test_the_android_sample_compiles(maven, tmp_path):
    local = _run(*maven, "help:evaluate", "-Dexpression=settings.localRepository", "-DforceStdout")
    repository = Path(local.stdout.decode().replace("\x1b[0m", "").strip())
    paths = []
    for library in _LIBRARIES:
        done = _run(*maven, "dependency:get", f"-Dartifact={library}", "-Dtransitive=false")
        if done.returncode:
            pytest.skip(f"Maven has no {library}")
        group, name, version, kind = library.split(":")
        folder = repository / group.replace(".", "/") / name / version
        paths.append(folder / f"{name}-{version}.{kind}")
    with zipfile.ZipFile(paths[0]) as archive:
        archive.extract("classes.jar", tmp_path)
    paths[0] = tmp_path / "classes.jar"
    sources = (
        SAMPLES / "android/LiteRtClassifier.java",
        SAMPLES / "java/Preprocessing.java",
    )
    done = _run("javac", "-d", tmp_path, "-cp", ":".join(map(str, paths)), *sources)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def driver(bundles, tmp_path_factory) -> Path:
    """The folder of the compiled driver; Preprocessing.java is the same in every bundle."""
    _needs("java", "javac")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "Driver.java").write_text(_DRIVER)
    preprocessing = bundles["digits"] / "java/Preprocessing.java"
    done = _run("javac", "-d", folder, preprocessing, folder / "Driver.java")
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.mark.parametrize("name", ["digits", "crop", "stretch", "pad"])
def test_pictures_of_every_shape_are_preprocessed_as_by_the_server(
    name, bundles, fitted_bundles, driver
):
    """One level apart at most: Pillow's weights are integers."""
    bundle = (bundles | fitted_bundles)[name]
    spec = ImageSpec.from_dict(json.loads((bundle / "contract.json").read_text())["image_spec"])
    random = np.random.default_rng(2)
    pictures, sent = [], b""
    for height, width in ((40, 90), (90, 41), (5, 3), (15, 24), (1, 200), (301, 7)):
        values = random.integers(0, 256, (height, width, 3), np.uint8)
        pictures.append(Image.fromarray(values))
        pixels = (values.astype(">u4") << np.array([16, 8, 0], ">u4")).sum(-1)
        sent += np.array([height, width], ">u4").tobytes() + pixels.astype(">u4").tobytes()
    words = (*spec.shape, spec.margin_height, spec.margin_width, spec.fit)
    done = _run("java", "-cp", driver, "Driver", *words, input=sent)
    assert done.returncode == 0, done.stderr.decode()
    found = np.frombuffer(done.stdout, np.uint8).reshape(len(pictures), *spec.shape).astype(int)
    for picture, pixels in zip(pictures, found):
        assert np.abs(pixels - fit(picture, spec)).max() <= 1, picture.size
