"""The Kotlin sample: compiled once by Maven, run on every bundle and on pictures of all kinds."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.base.fingerprint import ROOT
from serving.contract.image_spec import ImageSpec, decode
from tests.helpers.self_tests import check_finds_an_altered_probability, check_passes

pytestmark = pytest.mark.full
_DRIVER = """
import java.io.File
import javax.imageio.ImageIO

fun main(names: Array<String>) = Classifier(File("."), "model.onnx").use { classifier ->
    for (name in names) {
        File("$name.bin").writeBytes(classifier.preprocess(ImageIO.read(File(name))))
        println(classifier.classify(ImageIO.read(File(name)), 2))
    }
}
"""
"""A user's program, beside the sample."""


def _maven(folder: Path, *words: str) -> tuple[int, str]:
    """The exit code and the output of Maven on the sample in a bundle."""
    done = subprocess.run(
        ["mvn", "-q", "-B", "-ntp", "-f", "kotlin/pom.xml", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, re.sub(r"\x1b\[\d*m", "", done.stdout + done.stderr)


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> Path:
    """The sample and a user's program, compiled once for all bundles."""
    if not shutil.which("mvn") or not shutil.which("javac"):
        pytest.skip("mvn or javac is not installed")
    folder = tmp_path_factory.mktemp("compiled")
    shutil.copytree(
        ROOT / "export/mobile/samples/kotlin",
        folder / "kotlin",
        ignore=shutil.ignore_patterns("target"),
    )
    (folder / "kotlin/Driver.kt").write_text(_DRIVER)
    for goal in ("dependency:resolve", "dependency:resolve-plugins"):
        code, output = _maven(folder, goal)
        if code:
            pytest.skip(f"Maven has not the libraries: {output[:200]}")
    code, output = _maven(folder, "compile")
    assert code == 0, output
    assert "warning:" not in output.lower()
    return folder / "kotlin/target"


def _selftest(bundle: Path) -> tuple[int, str]:
    code, output = _maven(bundle, "exec:java", "-Dexec.args=.")
    lines = [line for line in output.splitlines() if line.startswith(("ok", "FAILED"))]
    assert len(lines) == 1, output
    return code, lines[0]


def test_the_self_test_passes_and_finds_an_altered_golden_probability(classes, bundle):
    shutil.copytree(classes, bundle / "kotlin/target")
    check_passes(_selftest, bundle)

    check_finds_an_altered_probability(_selftest, bundle)


@pytest.mark.parametrize("name", ["digits", "crop", "stretch", "pad"])
def test_pictures_of_every_kind_are_preprocessed_as_by_the_server(
    classes, name, bundles, fitted_bundles, tmp_path
):
    """One level apart at most: Pillow's weights are integers."""
    bundle = shutil.copytree((bundles | fitted_bundles)[name], tmp_path / name)
    shutil.copytree(classes, bundle / "kotlin/target")
    contract = json.loads((bundle / "contract.json").read_text())
    spec = ImageSpec.from_dict(contract["image_spec"])
    random = np.random.default_rng(2)
    names = []
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"):
        for height, width in ((40, 90), (90, 41), (5, 3), (15, 24), (1, 200), (301, 7)):
            pixels = random.integers(0, 256, (height, width, 4), np.uint8)
            picture = Image.fromarray(pixels).convert("RGB" if mode == "P" else "RGBA")
            if mode == "I;16":
                picture = Image.fromarray(random.integers(0, 65536, (height, width), np.uint16))
            elif picture.mode != mode:
                picture = picture.convert(mode)
            names.append(f"{mode.replace(';', '')}_{height}_{width}.png")
            picture.save(bundle / names[-1])
    code, output = _maven(
        bundle, "exec:java", "-Dexec.mainClass=DriverKt", f"-Dexec.args={' '.join(names)}"
    )
    assert code == 0, output
    for name in names:
        expected = decode((bundle / name).read_bytes(), spec).astype(int)
        found = np.fromfile(bundle / f"{name}.bin", np.uint8).reshape(spec.shape)
        assert np.abs(found - expected).max() <= 1, name
    answers = [line for line in output.splitlines() if line.startswith("[(")]
    assert len(answers) == len(names)
    first, second = (float(share) for share in re.findall(r", ([\d.E-]+)\)", answers[0]))
    assert 1 >= first >= second > 0
