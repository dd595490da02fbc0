"""The line on a folder of PNG and JPEG files, in a scheduled run: trained, released and served; a
second run on other data is refused, and says why."""

import csv
import io
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from components.sources.digits_source import DigitsSource
from serving.store.store import Store
from tests.helpers.command_line import run, run_on
from tests.helpers.predictions import predicted, served

QUICK = (
    *("train.epochs=6", "train.threads=1", "gates.min_accuracy=0.6"),
    "train.frameworks=torch",  # both are test_end_to_end's
    'export.formats=["saved_model", "tflite", "onnx"]',
)
IMAGES = 1200


def _write(raw, path: Path) -> Path:
    """A digit as a photograph would come: larger, in one of three colours, PNG or JPEG."""
    grey = Image.open(io.BytesIO(raw.data)).resize((16, 16))
    colour = ("white", "gold", "pink")[int(path.name) % 3]
    path = path.with_suffix((".png", ".jpg")[int(path.name) % 2])
    path.parent.mkdir(parents=True, exist_ok=True)
    ImageOps.colorize(grey, "black", colour).save(path, quality=92)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """1,200 digits as files; a picture of class 3 lies a second time under 8, one more digit is in
    the colours of print."""
    root = tmp_path_factory.mktemp("digits") / "photos"
    for raw in DigitsSource().read({"start": 0, "stop": IMAGES + 1}, 10**6):
        path = _write(raw, root / str(raw.label) / raw.name.partition("/")[2])
    Image.open(path).convert("CMYK").save(path.with_name("print.jpg"))
    path.unlink()
    shutil.copyfile(next((root / "3").glob("*.png")), root / "8" / "three.png")
    (root / "8" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "README.txt").write_text("not an image, and not in a class")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("line") / "out"


@pytest.fixture(scope="module")
def first(folder, root, warm_line):
    return run_on(warm_line, root, f"folder:{folder}", *QUICK)


def test_every_file_is_accounted_for_in_verdict_report_terminal_and_findings(first, root):
    done, verdict = first
    assert done.returncode == 0, done.stdout + done.stderr
    data = verdict["data"]
    assert verdict["status"] == "released" and verdict["name"] == "photos"
    assert (data["read"], data["good"]) == (IMAGES + 3, IMAGES + 2)
    assert (data["quarantined"], data["duplicates"], data["ignored"]) == (1, 0, 1)
    assert data["conflicting_labels"] == 2 and data["reencoded"] == {"JPEG": 1}
    assert data["findings"]["quarantined"][0]["name"] == "8/broken.png"
    for row in data["accounting"]:
        assert row["read"] == row["good"] + row["quarantined"] + row["duplicates"]
    assert sum(row["read"] for row in data["accounting"]) == data["read"]
    assert "Set aside  8/broken.png" in done.stdout and "Conflict   2 images" in done.stdout
    page = (root / "runs" / "latest" / "report.html").read_text()
    assert "8/broken.png" in page and "Account by split and class" in page
    with open(root / "runs" / "latest" / "findings.csv", newline="") as file:
        found = [(row["finding"], row["name"]) for row in csv.DictReader(file)]
    assert ("quarantined", "8/broken.png") in found and ("ignored", "README.txt") in found
    assert sum(finding == "conflicting_label" for finding, _ in found) == 2


def test_the_release_holds_schema_statistics_and_index_of_the_images_it_was_made_with(first, root):
    release = Store(root / "serving").current("photos")
    names = {path.name for path in (release.path / "data").iterdir()}
    statistics = {f"statistics-{split}.pb" for split in ("train", "val", "test")}
    assert names == {"schema.pbtxt", "images.csv.gz", *statistics}
    assert {"data/schema.pbtxt", "data/images.csv.gz"} <= release.manifest()["files"].keys()
    release.verify()


def test_server_and_both_predictors_name_the_folders_images_alike(first, folder, root):
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    images = [
        path
        for name in names
        for ending in ("png", "jpg")
        for path in sorted((folder / name).glob(f"[0-9]*.{ending}"))[:2]
    ]
    assert len(images) == 40
    labels = served(root, images)
    assert labels == predicted(root, "onnx", images) == predicted(root, "tflite", images)
    assert set(labels) <= set(names)


@pytest.mark.full
def test_inverted_brightness_stops_the_second_run_in_tfdvs_words(first, folder, root, tmp_path):
    shutil.copytree(folder, tmp_path / "photos")
    for path in (tmp_path / "photos").glob("*/*.*"):
        if path.name != "broken.png":
            ImageOps.invert(Image.open(path).convert("RGB")).save(path)
    done, verdict = run(root, f"folder:{tmp_path / 'photos'}", *QUICK)
    assert done.returncode == 4 and verdict["status"] == "refused"
    assert "drift_train_mean" in verdict["sentence"]
    assert "Jensen-Shannon divergence between current and previous is 1" in verdict["sentence"]
    assert [step["name"] for step in verdict["steps"]][-1] == "data_gate"
    assert len(Store(root / "serving").releases("photos")) == 1


def test_two_swapped_classes_stop_the_second_run_and_every_image_is_named(
    first, folder, root, warm_line, tmp_path
):
    for path in folder.iterdir():
        if path.is_dir():
            other = {"3": "5", "5": "3"}.get(path.name, path.name)
            shutil.copytree(path, tmp_path / "photos" / other)
    done, verdict = run_on(warm_line, root, f"folder:{tmp_path / 'photos'}", *QUICK)
    assert done.returncode == 4 and verdict["status"] == "refused"
    assert [gate["name"] for gate in verdict["gates"] if not gate["passed"]] == ["relabelled"]
    swapped = verdict["data"]["relabelled"]
    assert f"Relabelled {swapped} images" in done.stdout
    assert "images of '3' are '5' now" in verdict["sentence"]
    assert [step["name"] for step in verdict["steps"]][-1] == "data_gate"
    assert len(Store(root / "serving").releases("photos")) == 1
    latest = root / "runs" / "latest"
    with open(latest / "findings.csv", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["finding"] == "relabelled"]
    assert len(found) == swapped == sum(len(list((folder / name).iterdir())) for name in "35")
    assert {row["detail"] for row in found if row["label"] == "5"} == {"was '3' in release 1"}
    assert "was &#39;5&#39; in release 1" in (latest / "report.html").read_text()


@pytest.mark.full
def test_a_label_that_the_curated_schema_lacks_stops_the_run(first, folder, root, tmp_path):
    """The schema is the release's own, edited as a person would: class 9 is gone."""
    schema = Store(root / "serving").current("photos").path / "data" / "schema.pbtxt"
    curated = tmp_path / "schema.pbtxt"
    curated.write_text(schema.read_text().replace('  value: "9"\n', ""))
    done, verdict = run(root, f"folder:{folder}", *QUICK, f"data.schema={curated}")
    assert done.returncode == 4, done.stdout
    assert "Examples contain values missing from the schema: 9" in verdict["sentence"]
    cached = {step["name"]: step["cached"] for step in verdict["steps"]}
    assert cached["ingest"] and cached["statistics"] and not cached["data_gate"]


def test_a_new_class_stops_the_second_run_at_once(first, folder, root, tmp_path):
    shutil.copytree(folder, tmp_path / "photos")
    shutil.copytree(folder / "0", tmp_path / "photos" / "zero")
    done, verdict = run(root, f"folder:{tmp_path / 'photos'}", *QUICK)
    assert done.returncode == 4 and not verdict["steps"]
    assert "new: zero; missing: none" in verdict["sentence"]
    assert "data.accept_classes=true" in verdict["sentence"]
