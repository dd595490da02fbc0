"""`python -m serving.predict`: labels for image files, from either runtime."""

import numpy as np
import pytest
from PIL import Image

from serving.contract.image_spec import ImageSpec, fit
from serving.store.store import Store
from tests.helpers.serving_fixtures import (
    digits,
    digits_release,
    expected,
    fitted_stores,
    odd_pictures,
    run,
    seal,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    directory = tmp_path_factory.mktemp("line")
    Store(directory / "out/serving").publish("digits", digits_release(directory / "source"))
    return directory / "out"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Digits 0 and 1: one at its own size, one enlarged, in colour and as JPEG."""
    directory = tmp_path_factory.mktemp("pictures")
    zero, one = (Image.fromarray(image[..., 0]) for image in digits()[0][:2])
    zero.save(directory / "zero.png")
    one.resize((80, 80), Image.Resampling.NEAREST).convert("RGB").save(directory / "one.jpg")
    return [directory / "zero.png", directory / "one.jpg"]


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_each_image_gets_a_line_with_its_most_probable_labels(root, pictures, kind):
    result = run("-m", "serving.predict", "--root", root, "--format", kind, *pictures)
    assert (result.returncode, result.stderr) == (0, "")
    zero, one = result.stdout.splitlines()
    probabilities = expected(digits()[0][:1])[0]
    best = [f"{label} {probabilities[label]:.1%}" for label in probabilities.argsort()[:-4:-1]]
    assert zero == f"{pictures[0]}: {', '.join(best)}" and zero.count(": 0 9") == 1
    assert one.startswith(f"{pictures[1]}: 1 ") and one.count("%") == 3


def test_images_of_any_shape_are_fitted_as_the_contract_says(tmp_path):
    root, pictures = fitted_stores(tmp_path), odd_pictures(tmp_path)
    answers = {}
    for how in ("crop", "stretch", "pad"):
        result = run("-m", "serving.predict", "--root", root, "--model", how, "--top", 1, *pictures)
        assert (result.returncode, result.stderr) == (0, "")
        pixels = np.stack([fit(p, ImageSpec(8, 8, 1, fit=how)) for p in pictures.values()])
        answers[how] = [
            f"{path}: {best.argmax()} {best.max():.1%}"
            for path, best in zip(pictures, expected(pixels))
        ]
        assert result.stdout.splitlines() == answers[how]
    assert len(set(map(tuple, answers.values()))) == 3


def test_a_link_that_is_named_is_followed(root, pictures, tmp_path):
    (tmp_path / "link.png").symlink_to(pictures[0])
    result = run("-m", "serving.predict", "--root", root, tmp_path / "link.png")
    assert result.returncode == 0 and result.stdout.startswith(f"{tmp_path / 'link.png'}: 0 ")


def test_more_labels_than_there_are_gives_all(root, pictures):
    result = run("-m", "serving.predict", "--root", root, "--top", "99", pictures[0])
    assert result.stdout.count("%") == 10


def test_a_bad_image_is_one_line_and_the_others_are_still_classified(root, pictures, tmp_path):
    broken, absent = tmp_path / "broken.png", tmp_path / "absent.png"
    broken.write_bytes(b"not an image")
    result = run("-m", "serving.predict", "--root", root, broken, pictures[0], absent, pictures[1])
    assert result.returncode == 2
    assert [line.split(": ")[0] for line in result.stdout.splitlines()] == list(map(str, pictures))
    first, second = result.stderr.splitlines()
    assert first.startswith(f"error: {broken}: cannot decode 12 bytes")
    assert second == f"error: {absent}: No such file or directory"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "digit"], "did you mean digits?"),
        (["--format", "tflite"], "model.tflite was altered"),
    ],
)
def test_a_release_that_cannot_be_used_is_one_line(tmp_path, pictures, arguments, message):
    release = Store(tmp_path / "serving").publish("digits", digits_release(tmp_path / "source"))
    (release.path / "model.tflite").write_bytes(b"junk")
    result = run("-m", "serving.predict", "--root", tmp_path, *arguments, pictures[0])
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_a_format_that_a_model_was_not_released_in_is_named_with_those_that_it_was(
    tmp_path, pictures
):
    source = digits_release(tmp_path / "source")
    (source / "model.tflite").unlink()
    Store(tmp_path / "serving").publish("digits", seal(source, formats=["onnx"]))
    command = ("-m", "serving.predict", "--root", tmp_path)
    assert run(*command, pictures[0]).stdout.startswith(f"{pictures[0]}: 0 ")
    refused = run(*command, "--format", "tflite", pictures[0])
    assert refused.returncode == 2
    assert "it was released as ONNX alone; use --format onnx" in refused.stderr
