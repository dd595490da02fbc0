"""Bad sets of images through the real command, after a good one and without: none is released."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.sources.digits_source import DigitsSource
from serving.store.store import Store
from tests.helpers.command_line import run

pytestmark = pytest.mark.full

QUICK = ("train.epochs=4", "train.threads=1", 'export.formats=["onnx"]')


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """1,200 digits, one folder for each."""
    root = tmp_path_factory.mktemp("good") / "photos"
    for number, raw in enumerate(DigitsSource().read({"start": 0, "stop": 1200}, 10**6)):
        path = root / str(raw.label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw.data)
    return root


@pytest.fixture(scope="module")
def released(good, tmp_path_factory) -> Path:
    """The output root with one release, which was made of the good images."""
    root = tmp_path_factory.mktemp("released") / "out"
    done, verdict = run(root, f"folder:{good}", *QUICK)
    assert done.returncode == 0 and verdict["version"] == 1, done.stdout + done.stderr
    return root


def _images(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.png"))


def _swap(folder: Path) -> None:
    (folder / "3").rename(folder / "x")
    (folder / "5").rename(folder / "3")
    (folder / "x").rename(folder / "5")


def _shuffle(folder: Path) -> None:
    paths = _images(folder)
    drawn = np.random.default_rng(0).permutation([path.parent.name for path in paths])
    for path, name in zip(paths, drawn):
        path.rename(folder / name / f"from-{path.parent.name}-{path.name}")


def _every(change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[Path], None]:
    """Each image by `change` of its pixels, uint8 (8, 8), and its number."""

    def mutate(folder: Path) -> None:
        for number, path in enumerate(_images(folder)):
            pixels = change(np.asarray(Image.open(path).convert("L")), number)
            Image.fromarray(pixels.astype(np.uint8)).save(path)

    return mutate


def _same(folder: Path) -> None:
    first, *others = _images(folder)
    for path in others:
        shutil.copyfile(first, path)


def _break(folder: Path) -> None:
    for path in _images(folder)[::40]:
        path.write_bytes(path.read_bytes()[:60])


def _empty_one(folder: Path) -> None:
    for path in (folder / "4").iterdir():
        path.unlink()


def _repeat_one(folder: Path) -> None:
    """One class has six files of each image, and so two fifths of all."""
    for path in sorted((folder / "0").iterdir()):
        for copy in range(5):
            shutil.copyfile(path, path.with_stem(f"{path.stem}-{copy}"))


def _noise(pixels: np.ndarray, number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, pixels.shape)


def _constant(pixels: np.ndarray, number: int) -> np.ndarray:
    """Grey levels, sides and so the pixels differ; there is nothing to see in any."""
    return np.full((8 + number // 256, 8), number % 256)


def _refused(root: Path, folder: Path) -> tuple[int, str]:
    """Exit code and sentence of a run that must not release anything."""
    store = Store(root / "serving")
    before = [release.version for release in store.releases("photos")]
    done, verdict = run(root, f"folder:{folder}", *QUICK)
    assert [release.version for release in store.releases("photos")] == before
    assert verdict["exit_code"] == done.returncode, done.stdout + done.stderr
    return done.returncode, verdict["sentence"]


@pytest.mark.parametrize(
    "mutate, words",
    [
        (_swap, "images of '3' are '5' now"),
        (_shuffle, "images of another class than in release 1"),
        (_every(lambda pixels, _: 255 - pixels), "drift_train_mean"),
        (_every(_constant), "drift_train_std"),
        (_every(_noise), "drift_train_std"),
        (_same, "Split"),
        (_break, "quarantined is"),
        (_empty_one, "images_per_class is too small for 1 class: '4'"),
        (_repeat_one, "drift_train_class_name"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_images_after_good_ones_are_refused_as_data(good, released, tmp_path, mutate, words):
    shutil.copytree(good, tmp_path / "photos")
    mutate(tmp_path / "photos")
    code, sentence = _refused(released, tmp_path / "photos")
    assert code == 4 and words in sentence


@pytest.mark.parametrize(
    "mutate", [_shuffle, _every(_constant), _every(_noise)], ids=("shuffled", "constant", "noise")
)
def test_bad_images_that_nothing_is_known_of_give_a_model_that_is_refused(good, tmp_path, mutate):
    shutil.copytree(good, tmp_path / "photos")
    mutate(tmp_path / "photos")
    code, sentence = _refused(tmp_path / "out", tmp_path / "photos")
    assert code == 3 and "accuracy" in sentence
