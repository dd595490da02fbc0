"""The Python sample, as someone runs it who has the bundle and its runtime alone."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.contract.image_spec import ImageSpec, fit
from tests.helpers.serving_fixtures import expected

pytest.importorskip("ai_edge_litert")


def _run(script: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Away from the repository, so that nothing of it can be imported."""
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=script.parent.parent,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _selftest(bundle: Path, *models: str) -> tuple[int, list[str]]:
    done = _run(bundle / "python/selftest.py", *models)
    assert done.stdout, done.stderr
    return done.returncode, done.stdout.splitlines()


def _classifier(bundle: Path):
    path = bundle / "python/classifier.py"
    specification = importlib.util.spec_from_file_location("bundled_classifier", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.Classifier(bundle)


def _alter(path: Path, dtype: str, index: int, by: float) -> None:
    values = np.fromfile(path, dtype)
    values[index] += np.array(by, dtype)
    values.tofile(path)


def test_the_self_test_passes_on_every_tflite_file(bundle):
    code, lines = _selftest(bundle)
    assert code == 0, lines
    names = [name for name in json.loads((bundle / "contract.json").read_text())["files"]]
    assert len(lines) == len([name for name in names if name.endswith(".tflite")])
    for line in lines:
        assert line.startswith("ok: model") and line.endswith("largest difference 0 of 255")


def test_an_altered_golden_probability_is_found_with_its_difference(bundle):
    _alter(bundle / "golden/probabilities.bin", "<f4", 7, 0.2)
    code, lines = _selftest(bundle, "model.tflite")
    assert code == 1
    assert lines[0].startswith("FAILED: model.tflite: ")
    assert "largest difference 2.0e-01 (at most 1e-04)" in lines[0]


def test_a_golden_probability_that_is_no_number_is_found(bundle):
    _alter(bundle / "golden/probabilities.bin", "<f4", 7, np.nan)
    code, lines = _selftest(bundle, "model.tflite")
    assert code == 1 and "largest difference nan" in lines[0]


def test_a_photo_that_is_preprocessed_otherwise_is_found_with_its_difference(bundle):
    _alter(bundle / "golden/photo.bin", "u1", 5, 2)
    code, lines = _selftest(bundle, "model.tflite")
    assert code == 1
    assert lines[0].startswith("FAILED: ") and lines[0].endswith("of 255")
    assert not lines[0].endswith(" 0 of 255")


def test_an_altered_byte_of_a_model_is_found_with_both_digests(bundle):
    _alter(bundle / "model.tflite", "u1", 1000, 1)
    code, lines = _selftest(bundle)
    said = json.loads((bundle / "contract.json").read_text())["files"]["model.tflite"]["sha256"]
    assert code == 1
    assert lines[0].startswith("FAILED: model.tflite: its SHA-256 is ")
    assert f"contract.json says {said[:16]}..." in lines[0]
    assert all(line.startswith("ok: ") for line in lines[1:])


def test_what_is_missing_cut_off_or_unknown_is_said_in_a_line(bundle):
    images = bundle / "golden/images.bin"
    images.write_bytes(images.read_bytes()[:-1])
    for model, reason in (("model.tflite", "reshape"), ("other.tflite", "'other.tflite'")):
        code, (line,) = _selftest(bundle, model)
        assert code == 1 and line.startswith(f"FAILED: {model}: ") and reason in line
    images.unlink()
    code, (line,) = _selftest(bundle, "model.tflite")
    assert code == 1 and line.startswith("FAILED: ") and "golden/images.bin" in line


def test_a_picture_is_classified_from_the_command_line(bundle):
    done = _run(bundle / "python/classifier.py", "golden/photo.png")
    rows = [line.split("  ", 1) for line in done.stdout.splitlines()]
    labels = json.loads((bundle / "contract.json").read_text())["labels"]
    assert len(rows) == 3 and {label for _, label in rows} <= set(labels)
    assert [float(p) for p, _ in rows] == sorted((float(p) for p, _ in rows), reverse=True)


def test_the_most_probable_classes_are_those_of_the_network(bundles):
    classifier = _classifier(bundles["digits"])
    images = np.fromfile(bundles["digits"] / "golden/images.bin", np.uint8).reshape(-1, 8, 8, 1)
    for image, answer in list(zip(images, expected(images)))[:5]:
        ((label, probability),) = classifier.classify(Image.fromarray(image[..., 0]), k=1)
        assert label == str(answer.argmax())
        assert probability == pytest.approx(answer.max(), abs=1e-4)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16", "CMYK"])
def test_pictures_of_every_kind_and_shape_are_preprocessed_as_by_the_server(mode, bundles):
    random = np.random.default_rng(1)
    for bundle in bundles.values():
        spec = ImageSpec.from_dict(json.loads((bundle / "contract.json").read_text())["image_spec"])
        classifier = _classifier(bundle)
        for height, width in ((40, 90), (90, 41), (5, 3), (15, 24), (1, 200)):
            if mode == "I;16":
                picture = Image.fromarray(random.integers(0, 2**16, (height, width), np.uint16))
            else:
                values = random.integers(0, 256, (height, width, 3), np.uint8)
                picture = Image.fromarray(values).convert(mode)
            for orientation in (1, 6):
                picture.getexif()[0x0112] = orientation
                found = classifier.preprocess(picture)
                np.testing.assert_array_equal(found, fit(picture, spec))


@pytest.mark.parametrize("how", ["stretch", "pad"])
def test_pictures_of_every_shape_are_fitted_as_the_contract_says(how, fitted_bundles):
    bundle = fitted_bundles[how]
    code, lines = _selftest(bundle)
    assert code == 0, lines
    spec = ImageSpec.from_dict(json.loads((bundle / "contract.json").read_text())["image_spec"])
    classifier, random = _classifier(bundle), np.random.default_rng(1)
    for height, width in ((40, 90), (90, 41), (5, 3), (15, 24), (1, 200), (200, 1)):
        values = random.integers(0, 256, (height, width, 3), np.uint8)
        for picture in (Image.fromarray(values), Image.fromarray(values).convert("L")):
            for orientation in (1, 6):
                picture.getexif()[0x0112] = orientation
                np.testing.assert_array_equal(classifier.preprocess(picture), fit(picture, spec))
    classifier.contract["image_spec"]["fit"] = "squeeze"
    with pytest.raises(ValueError, match="fit is squeeze, expected crop, stretch or pad"):
        classifier.preprocess(picture)


def test_it_imports_nothing_of_this_project(bundles):
    for script in (bundles["digits"] / "python").glob("*.py"):
        text = script.read_text()
        for package in ("serving", "components", "export", "pipeline", "darkroom"):
            assert f"import {package}" not in text and f"from {package}" not in text
