"""The benchmark of photographs: the same images for both sides, what is held to, and the loop."""

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks import __main__ as command_line
from benchmarks import photos, trainings
from components.base.process import StepFailed
from components.data import image_index
from components.data.image_index import Row
from tests.helpers.images import photographs

PLACES = {
    "cats/1.png": "train",
    "cats/more/1.png": "val",
    "dogs/1.png": "test",
    "dogs/2.png": "train",
}


def tiles(count: int, side: int = 256) -> list[Image.Image]:
    """Parts of two photographs, from left to right."""
    starts = np.linspace(0, 640 - side, count // 2, dtype=int)
    return [
        Image.fromarray(pixels[:side, start : start + side])
        for start in starts
        for pixels in photographs()
    ]


@pytest.fixture
def folder(tmp_path) -> Path:
    """PLACES' images, and one that ingest set aside."""
    for name, image in zip((*PLACES, "dogs/3.png"), tiles(6)):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "images" / name)
    return tmp_path / "images"


@pytest.fixture
def index(tmp_path) -> Path:
    rows = (Row(split, name.split("/")[0], "00", name) for name, split in PLACES.items())
    image_index.write(tmp_path / "images.csv", rows)
    return tmp_path / "images.csv"


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_the_loop_gets_the_images_and_the_split_that_the_line_had(folder, index, kind, tmp_path):
    source = f"folder:{folder}"
    if kind == "tar":
        with tarfile.open(tmp_path / "images.tar", "w") as archive:
            archive.add(folder, "images")  # a folder around the classes is taken off
        source = f"tar:{tmp_path}/images.tar"
        index.write_text(
            index.read_text().replace("cats/", "images/cats/").replace("dogs/", "images/dogs/")
        )
    photos.write_split(source, index, tmp_path / "split")
    written = {
        path.read_bytes(): path.relative_to(tmp_path / "split").parts[:-1]
        for path in (tmp_path / "split").rglob("*.png")
    }
    assert written == {
        (folder / name).read_bytes(): (split, name.split("/")[0]) for name, split in PLACES.items()
    }


def test_images_that_are_gone_since_are_named(folder, index, tmp_path):
    (folder / "dogs/2.png").unlink()
    with pytest.raises(StepFailed, match=r"1 images left .*: dogs/2\.png"):
        photos.write_split(f"folder:{folder}", index, tmp_path / "split")


def epochs(*accuracies: float) -> list[dict]:
    return [{"seconds": 10.0, "val_accuracy": 0.5, "accuracy": one} for one in accuracies]


def test_a_loop_s_time_ends_with_the_first_epoch_that_is_as_good_or_with_its_best():
    found = epochs(0.9, 0.96, 0.95, 0.97, 0.97)
    assert photos.reached(found, 0.95) == photos.Reached(2, 20.0, 0.96, True)
    assert photos.reached(found, 0.97) == photos.Reached(4, 40.0, 0.97, True)
    assert photos.reached(found, 0.98) == photos.Reached(4, 40.0, 0.97, False)


def runs(**changed: float) -> dict:
    """All bounds met, just so; `changed` are figures by name."""
    figures = {
        "seconds": 240.0,
        "peak": 4.0e9,
        "keras": 0.975,
        "torch": 0.975,
        "images": 4000,
        "training": 2.0,
        "scratch": 0.875,
        "scratch_seconds": 240.0,
    } | changed
    of_line = {"cpu_seconds": 1.0, "load": 0.0, "images": 280, "files": 21}
    ours = of_line | {
        "seconds": figures["seconds"],
        "peak_bytes": figures["peak"],
        "accuracy": {"keras": figures["keras"], "torch": figures["torch"]},
        "steps": {"features": 6.0, "train_torch": figures["training"], "push": 1.0},
        "features": {"images": figures["images"], "seconds": 100.0},
    }
    scratch = of_line | {
        "seconds": figures["scratch_seconds"],
        "peak_bytes": 1e9,
        "accuracy": {"torch": figures["scratch"]},
        "steps": {"train_torch": 200.0},
    }
    loop = {"epochs": epochs(0.9, 0.95, 0.96, 0.975, 0.98)}
    return {"ours": ours, "tutorial": loop, "scratch": scratch}


def report(found: dict, root: Path) -> tuple[int, list[str], dict]:
    """(exit code, lines of what is missed, what is written)."""
    console = Console(width=120, file=io.StringIO())
    code = photos.report(found, {"source": "tar:pets.tar"}, root, console)
    missed = [line for line in console.file.getvalue().splitlines() if " missed" in line]
    return code, missed, json.loads((root / "benchmarks/photos.json").read_text())


def test_what_is_met_to_the_point_is_met(tmp_path):
    code, missed, written = report(runs(), tmp_path)
    assert (code, missed) == (0, [])
    assert written["faster"] == 5.0 and written["points"] == pytest.approx(10.0)
    assert written["runs"] == runs() and written["source"] == "tar:pets.tar"
    assert "commit" in written["machine"]


@pytest.mark.parametrize(
    "changed, line",
    [
        ({"seconds": 240.1, "scratch_seconds": 300.0}, "archive to verified release"),
        ({"peak": 4.1e9}, "peak memory"),
        ({"keras": 0.974}, "test accuracy, keras"),
        ({"images": 3990}, "through the backbone"),
        ({"training": 2.1}, "times faster than the loop"),
        ({"scratch": 0.876}, "points better"),
        ({"scratch_seconds": 239.0}, "beside the line from scratch"),
    ],
)
def test_what_is_missed_is_said_and_fails(changed, line, tmp_path):
    code, missed, _ = report(runs(**changed), tmp_path)
    assert code == 1
    (only,) = missed
    assert line in only


def test_without_the_line_from_scratch_the_rest_is_judged(tmp_path):
    found = runs()
    del found["scratch"]
    code, missed, written = report(found, tmp_path)
    assert (code, missed) == (0, []) and "points" not in written


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--images=/nowhere.tar"], "No photographs at /nowhere.tar"),
        (["--images=images.csv"], "images.csv is no folder"),
        (
            ["--images=images", "model.architecture=digits"],
            "model.architecture is of the benchmark",
        ),
        (["--images=images", "model.backbone=efficientnet_lite1"], "model.backbone is of the"),
        (["--images=icons"], "gets the network 'cifar10', expected a pretrained one"),
        (["--images=images/cats"], "at least two subfolders"),
    ],
)
def test_a_wrong_command_line_is_a_sentence_and_exit_code_2(
    arguments, expected, folder, index, tmp_path, monkeypatch, capsys
):
    for name in PLACES:
        (tmp_path / "icons" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(folder / name).resize((32, 32)).save(tmp_path / "icons" / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "photos", *arguments])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 2
    assert expected in capsys.readouterr().err


def write_splits(folder: Path) -> Path:
    """Two photographs' parts, six to train on, two in each of the other splits."""
    for number, image in enumerate(tiles(10)):
        split = "train" if number < 6 else "val" if number < 8 else "test"
        place = folder / split / ("temple", "flower")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number}.png")
    return folder


def test_the_loop_s_features_are_those_of_our_backbone(tmp_path):
    import torch

    from benchmarks import tutorial_transfer
    from components.networks import torch_model
    from tests.helpers.photographs import pretrained_network

    loop = tutorial_transfer.network("efficientnet_lite0", ("temple", "flower")).eval()
    trained = [name for name, of in loop.named_parameters() if of.requires_grad]
    assert trained == ["classifier.weight", "classifier.bias"]
    data = tutorial_transfer.loaders(write_splits(tmp_path), "efficientnet_lite0")["test"].dataset
    ours = pretrained_network("torch", classes=2)
    model = torch_model.build(ours).eval()
    torch_model.load_backbone(model, ours)
    with torch.inference_mode():
        found = loop.features(torch.stack([image for image, _ in data]))
        middles = [np.array(Image.open(path))[16:-16, 16:-16] for path, _ in data.samples]
        images = torch.from_numpy(np.stack(middles)).permute(0, 3, 1, 2).float()
        expected = torch_model.backbone_of(model, ours)(images)
    assert (found - expected).abs().max() < 1e-4


def test_the_loop_says_of_each_epoch_how_long_it_took_and_how_good_it_was(tmp_path):
    options = [str(write_splits(tmp_path)), "--epochs", "2", "--threads", "1"]
    found = trainings.loop("benchmarks.tutorial_transfer", options)
    assert len(found["epochs"]) == 2
    for epoch in found["epochs"]:
        assert epoch["seconds"] > 0
        assert epoch["val_accuracy"] in (0, 0.5, 1) and epoch["accuracy"] in (0, 0.5, 1)
