"""What `python -m export.mobile` writes, and what it refuses."""

import hashlib
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.mobile import folder
from export.mobile.__main__ import main
from serving.contract.image_spec import ImageSpec, fit
from tests.helpers.mobile_releases import LABELS, MARGINS, SHAPE, linear_rgb_release
from tests.helpers.serving_fixtures import digits_release, seal


def _contract(bundle: Path) -> dict:
    return json.loads((bundle / "contract.json").read_text())


def _array(bundle: Path, key: str, dtype: str, *shape: int) -> np.ndarray:
    return np.fromfile(bundle / _contract(bundle)["golden"][key], dtype).reshape(shape)


def test_every_model_file_is_there_as_contract_json_says(bundle, releases):
    files = _contract(bundle)["files"]
    expected = {
        "digits": {"model.tflite", "model.onnx"},
        "linear": {"model.tflite", "model_float16.tflite", "model.onnx"},
    }
    assert set(files) == expected[bundle.name]
    for name, facts in files.items():
        data = (bundle / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (facts["bytes"], facts["sha256"])
        assert data == (releases[bundle.name] / name).read_bytes()


def test_contract_json_is_the_releases_with_what_samples_need(bundle, releases):
    found = _contract(bundle)
    given = json.loads((releases[bundle.name] / "contract.json").read_text())
    assert found["image_spec"].items() >= given.pop("image_spec").items()
    assert {"margin_height", "margin_width", "fit"} <= found["image_spec"].keys()
    assert found.items() >= given.items()
    assert (found["model"], found["version"]) == (bundle.name, 3)
    assert (bundle / "labels.txt").read_text(encoding="utf-8").splitlines() == found["labels"]


def test_golden_files_are_the_releases_golden_answers(bundle, releases):
    golden = np.load(releases[bundle.name] / "golden.npz")
    count = _contract(bundle)["golden"]["count"]
    shape = golden["image"].shape
    assert count == len(golden["image"])
    np.testing.assert_array_equal(_array(bundle, "images", "u1", *shape), golden["image"])
    answers = _array(bundle, "probabilities", "<f4", count, -1)
    np.testing.assert_array_equal(answers, golden["probabilities"])


def test_the_photo_has_another_shape_and_is_preprocessed_as_by_the_server(bundle):
    contract = _contract(bundle)
    spec = ImageSpec.from_dict(contract["image_spec"])
    with Image.open(bundle / contract["golden"]["photo"]) as photo:
        assert photo.mode == {1: "L", 3: "RGB"}[spec.channels]
        raw = np.asarray(photo).reshape(contract["golden"]["photo_shape"])
        pixels = fit(photo, spec)
        stretched = np.asarray(photo.resize((spec.width, spec.height))).reshape(spec.shape)
    assert raw.shape[1] * spec.height != raw.shape[0] * spec.width
    np.testing.assert_array_equal(_array(bundle, "photo_raw", "u1", *raw.shape), raw)
    np.testing.assert_array_equal(_array(bundle, "photo_pixels", "u1", *spec.shape), pixels)
    assert np.abs(pixels.astype(int) - stretched).max() > 20  # who stretches is found out


def test_every_fit_is_in_words_in_the_contract_and_shows_on_the_photo(fitted_bundles):
    pixels = {}
    for how, bundle in fitted_bundles.items():
        spec = ImageSpec.from_dict(_contract(bundle)["image_spec"])
        assert spec.fit == how
        with Image.open(bundle / "golden/photo.png") as photo:
            pixels[how] = _array(bundle, "photo_pixels", "u1", *spec.shape).astype(int)
            np.testing.assert_array_equal(pixels[how], fit(photo, spec))
        text = " ".join((bundle / "README.md").read_text(encoding="utf-8").split())
        assert ("Cut out the largest central part" in text) == (how == "crop")
        assert ("Resize it to 24 x 15, whatever its aspect ratio" in text) == (how == "stretch")
        assert ("Resize it to fit into 24 x 15" in text) == (how == "pad")
        assert ("of a black picture of 24 x 15." in text) == (how == "pad")
        assert ("on black yourself" in text) == (how == "pad")
        assert "A picture of 20 x 12 they leave as it is" in text
    for one, other in itertools.combinations(pixels.values(), 2):
        assert np.abs(one - other).max() > 20


def test_tolerances_are_of_precision_and_add_what_the_release_measured(bundles):
    files = _contract(bundles["linear"])["files"]
    assert files["model.tflite"]["tolerance"] == files["model.onnx"]["tolerance"] == 1e-4
    assert files["model_float16.tflite"]["tolerance"] == 0.03  # 0.02, and golden answers 0.01 off


def test_the_readme_says_sizes_accuracy_and_preprocessing_of_this_release(bundles):
    text = (bundles["linear"] / "README.md").read_text(encoding="utf-8")
    size = (bundles["linear"] / "model.tflite").stat().st_size
    assert f"| `model.tflite` | {size:,} | float32 | 0.8765 |" in text
    assert "| float16 | not recorded |" in text
    packed = SHAPE[1] + MARGINS["margin_width"], SHAPE[0] + MARGINS["margin_height"]
    assert f"Resize it to {packed[0]} x {packed[1]}" in text
    assert f"Cut out the central {SHAPE[1]} x {SHAPE[0]}." in text
    assert "Make it grey" in (bundles["digits"] / "README.md").read_text(encoding="utf-8")


def test_every_sample_is_copied_and_has_its_section(bundle):
    text = (bundle / "README.md").read_text(encoding="utf-8")
    for sample in folder.SAMPLES.iterdir():
        assert f"\n### {sample.name}/\n" in text
        assert (sample / "README.md").read_text(encoding="utf-8").strip() in text
        copied = {path.name for path in (bundle / sample.name).iterdir()}
        assert {path.name for path in sample.iterdir()} - {"__pycache__"} <= copied


def test_what_is_printed_names_the_files_with_their_sizes(releases, tmp_path, capsys):
    assert main([str(releases["linear"]), str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'out'}: linear version 3\n" in printed
    assert "model_float16.tflite         0.013 MB  TFLite float16\n" in printed


def test_a_bundle_of_the_model_is_renewed_whole(bundle, releases):
    before = (bundle / "model.tflite").read_bytes()
    (bundle / "model.tflite").write_bytes(b"old")
    (bundle / "golden/left.bin").write_bytes(b"old")
    assert main([str(releases[bundle.name]), str(bundle)]) == 0
    assert (bundle / "model.tflite").read_bytes() == before
    assert not (bundle / "golden/left.bin").exists()
    assert os.listdir(bundle.parent) == [bundle.name]


def test_a_write_that_fails_leaves_the_old_bundle_and_nothing_else(
    bundle, releases, monkeypatch, capsys
):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.shutil, "copytree", full)
    before = {path: path.stat().st_ino for path in bundle.rglob("*")}
    assert main([str(releases[bundle.name]), str(bundle)]) == 2
    assert f"error: {bundle} cannot be written: [Errno 28] No space" in capsys.readouterr().err
    assert {path: path.stat().st_ino for path in bundle.rglob("*")} == before
    assert os.listdir(bundle.parent) == [bundle.name]


def test_the_current_link_of_a_store_names_the_version(releases, tmp_path):
    (tmp_path / "current").symlink_to(releases["digits"])
    assert main([str(tmp_path / "current"), str(tmp_path / "out")]) == 0
    assert _contract(tmp_path / "out")["version"] == 3


def test_a_release_outside_of_a_store_has_no_version(tmp_path):
    release = digits_release(tmp_path / "downloaded")
    assert main([str(release), str(tmp_path / "out")]) == 0
    assert _contract(tmp_path / "out")["version"] is None


def _no_release(release: Path) -> str:
    (release / "manifest.json").unlink()
    return "manifest.json is missing"


def _altered(release: Path) -> str:
    data = bytearray((release / "model.tflite").read_bytes())
    data[-1] ^= 1
    (release / "model.tflite").write_bytes(data)
    return "model.tflite was altered"


def _without_tflite(release: Path) -> str:
    for path in release.glob("*.tflite"):
        path.unlink()
    seal(release, "linear")
    return "holds no TFLite file"


def _without_golden(release: Path) -> str:
    (release / "golden.npz").unlink()
    seal(release, "linear")
    return "golden.npz is missing"


def _without_golden_of_float16(release: Path) -> str:
    with np.load(release / "golden.npz") as golden:
        kept = {key: golden[key] for key in golden if key != "tflite_float16"}
    np.savez(release / "golden.npz", **kept)
    seal(release, "linear")
    return "tflite_float16"


def _other_contract(release: Path) -> str:
    contract = json.loads((release / "contract.json").read_text())
    contract["labels"] = LABELS[:3]
    (release / "contract.json").write_text(json.dumps(contract))
    seal(release, "linear")
    return "contract.json cannot be used"


def _odd_name(release: Path) -> str:
    seal(release, "a\n# b")
    return "names no model"


@pytest.mark.parametrize(
    "spoil",
    [
        _no_release,
        _altered,
        _without_tflite,
        _without_golden,
        _without_golden_of_float16,
        _other_contract,
        _odd_name,
    ],
)
def test_what_is_no_whole_release_is_refused_in_a_sentence(spoil, tmp_path, capsys):
    release = linear_rgb_release(tmp_path / "linear")
    reason = spoil(release)
    assert main([str(release), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and reason in error and error.count("\n") == 1
    assert os.listdir(tmp_path) == ["linear"]


@pytest.mark.parametrize("content", ["notes.txt", "README.md"])
def test_a_folder_with_something_else_is_left_alone(content, releases, tmp_path, capsys):
    (tmp_path / content).write_text("mine\n")
    assert main([str(releases["digits"]), str(tmp_path)]) == 2
    assert "is not empty and holds no bundle of digits" in capsys.readouterr().err
    assert os.listdir(tmp_path) == [content]
    assert (tmp_path / content).read_text() == "mine\n"


def test_a_bundle_of_another_model_is_left_alone(bundles, releases):
    before = (bundles["linear"] / "contract.json").read_bytes()
    assert main([str(releases["digits"]), str(bundles["linear"])]) == 2
    assert (bundles["linear"] / "contract.json").read_bytes() == before


def test_a_file_and_a_folder_in_the_release_are_no_place_for_it(releases, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    before = sorted(releases["digits"].rglob("*"))
    for out in (tmp_path / "file", releases["digits"] / "mobile", releases["digits"]):
        assert main([str(releases["digits"]), str(out)]) == 2
        assert capsys.readouterr().err.startswith(f"error: {out} ")
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(releases["digits"].rglob("*")) == before
