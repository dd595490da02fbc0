"""The benchmark of whole lines: what both are given, how they are compared, and the plain one."""

import io
import itertools
import json
import sys

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks import __main__ as command_line
from benchmarks import line, subset
from benchmarks.subset import Split, choose
from components.base.process import StepFailed
from components.base.refusal import ConfigError
from components.sources.folder_source import FolderSource
from tests.helpers.shared_data import PREPARED, needs_data

CLASSES = ("cat", "dog", "emu")


def split(count: int, format: str = "PNG", seed: int = 0) -> Split:
    """`count` small images of noise, classes in turn."""
    random = np.random.default_rng(seed)

    def encoded() -> bytes:
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(file, format)
        return file.getvalue()

    images = tuple(encoded() for _ in range(count))
    return Split(images, tuple(itertools.islice(itertools.cycle(range(len(CLASSES))), count)))


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_both_forms_hold_the_same_pixels_under_the_same_labels(format, tmp_path):
    import tensorflow as tf

    train, test = split(90, format), split(30, format, seed=1)
    chosen = choose(CLASSES, train, test, (60, 12))
    chosen.write_records(tmp_path / "records")
    chosen.write_folder(tmp_path / "images")

    source = FolderSource(str(tmp_path / "images"))
    assert source.labels == CLASSES
    folder: dict[str, list] = {"train": [], "val": [], "test": []}
    for chunk in source.chunks():
        for raw in source.read(chunk, 2**20):
            folder[raw.split].append((raw.data, raw.label))
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    sizes = {"train": 54, "val": 6, "test": 12}
    for name, count in sizes.items():
        records = []
        for record in tf.data.TFRecordDataset(str(tmp_path / f"records/{name}.tfrecord")):
            example = tf.io.parse_single_example(record, features)
            records.append((example["image"].numpy(), int(example["label"])))
        assert len(records) == count
        assert sorted(records) == sorted(folder[name])
        origin = {
            pixels(data): label for s in (train, test) for data, label in zip(s.images, s.labels)
        }
        for data, label in records:
            assert np.array_equal(tf.io.decode_png(data).numpy().tobytes(), pixels(data))
            assert origin[pixels(data)] == label


def test_a_subset_has_every_class_as_often_and_no_image_twice():
    train, test = split(90), split(30, seed=1)
    chosen = choose(CLASSES, train, test, (61, 12))
    counts = {name: np.bincount(of.labels).tolist() for name, of in chosen.splits.items()}
    assert counts == {"train": [19, 18, 18], "val": [2, 2, 2], "test": [4, 4, 4]}
    images = [image for of in chosen.splits.values() for image in of.images]
    assert len(set(images)) == len(images) == 73
    labels = chosen.splits["train"].labels
    assert list(labels) != sorted(labels)
    assert choose(CLASSES, train, test, (61, 12)) == chosen
    assert choose(CLASSES, train, test, (61, 12), seed=1) != chosen


@pytest.mark.parametrize("images", [(91, 12), (60, 2), (20, 12)])
def test_a_subset_that_cannot_be_had_is_refused(images):
    with pytest.raises(ConfigError, match="choose --images accordingly"):
        choose(CLASSES, split(90), split(30), images)


def run(name: str, seconds: float) -> dict:
    both = name == "ours"
    return {
        "seconds": seconds,
        "cpu_seconds": 2 * seconds,
        "peak_bytes": 3 * 2**30,
        "load": 0.5,
        "accuracy": {"keras": 0.5, "torch": 0.6} if both else {"keras": 0.4},
        "images": 1000,
        "files": 21 if both else 1,
        "steps": {"ingest": 10.0, "push": 1.0} if both else {"Trainer": seconds - 20},
    }


@pytest.mark.parametrize(
    "ours, theirs, code, shown",
    [
        ([90.0, 100.0, 95.0], [100.0, 100.0, 120.0], 0, "0.95 (0.79 to 1.00)"),
        ([100.0], [100.0], 0, "1.00"),
        ([101.0], [100.0], 1, "1.0 missed"),
    ],
)
def test_the_comparison_fails_where_ours_takes_longer(ours, theirs, code, shown, tmp_path):
    runs = {"plain": [run("plain", s) for s in theirs], "ours": [run("ours", s) for s in ours]}
    console = Console(width=100, file=io.StringIO())
    assert line.report(runs, {"epochs": 10}, tmp_path, console) == code
    printed = console.file.getvalue()
    assert shown in printed and "Trainer" in printed and "ingest" in printed
    (all_else, _) = (row for row in printed.splitlines() if "imports and all else" in row)
    assert "20.0" in all_else
    found = json.loads((tmp_path / "benchmarks/line.json").read_text())
    assert found["ratio"] == pytest.approx(np.median(ours) / np.median(theirs))
    assert found["epochs"] == 10 and found["runs"] == runs and "commit" in found["machine"]


def test_steps_that_overlap_leave_nothing_for_all_else(tmp_path):
    overlapping = run("ours", 5.0)
    runs = {"plain": [run("plain", 30.0)], "ours": [overlapping]}
    console = Console(width=100, file=io.StringIO())
    line.report(runs, {}, tmp_path, console)
    assert console.file.getvalue().count("imports and all else") == 1


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--epochs=0"], "must be 1 or more"),
        (["train.epochs=3"], "train.epochs is the same for both lines"),
        (["name=other"], "name is the same for both lines"),
    ],
)
def test_a_wrong_command_line_is_a_sentence_and_exit_code_2(
    arguments, expected, tmp_path, monkeypatch, capsys
):
    (tmp_path / "cifar10").mkdir()
    given = ["benchmarks", "line", f"--data-dir={tmp_path}", *arguments]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 2
    assert expected in capsys.readouterr().err


def test_a_line_that_releases_nothing_is_no_measurement(tmp_path):
    (tmp_path / "images/cat").mkdir(parents=True)
    with pytest.raises(StepFailed, match="The line released no model: .*"):
        line.ours(tmp_path / "images", 1, {}, tmp_path)


@pytest.mark.full
def test_a_plain_line_that_pushes_nothing_is_no_measurement(tmp_path):
    with pytest.raises(StepFailed, match="(?s)The plain line pushed no model:.*ImportExampleGen"):
        line.plain(tmp_path, {"train": 54, "val": 6, "test": 12}, 1, tmp_path)


@pytest.mark.full
@needs_data
def test_the_plain_line_pushes_a_model_that_is_as_good_as_it_says(tmp_path):
    import tensorflow as tf

    classes, found = subset.read_cifar10(PREPARED)
    chosen = choose(classes, found["train"], found["test"], (600, 200))
    chosen.write_records(tmp_path / "records")
    counts = {name: len(of) for name, of in chosen.splits.items()}
    result = line.plain(tmp_path / "records", counts, 1, tmp_path)
    assert set(result["steps"]) == {
        "ImportExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform",
        "Trainer", "Evaluator", "Pusher",
    }  # fmt: skip
    assert result["images"] == 200
    assert sum(result["steps"].values()) < result["seconds"]
    assert result["cpu_seconds"] > 0 and result["peak_bytes"] > 2**28

    (pushed,) = (tmp_path / "out/pushed").iterdir()
    serve = tf.saved_model.load(str(pushed)).signatures["serving_default"]
    records = list(tf.data.TFRecordDataset(str(tmp_path / "records/test.tfrecord")))
    (probabilities,) = serve(examples=tf.stack(records)).values()
    right = probabilities.numpy().argmax(1) == np.array(chosen.splits["test"].labels)
    assert result["accuracy"]["keras"] == pytest.approx(right.mean())
