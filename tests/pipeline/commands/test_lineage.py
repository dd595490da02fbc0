"""Where a release or an artifact comes from, and which releases have an image."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from components.base.fingerprint import ROOT
from components.base.refusal import ConfigError
from components.data import image_index
from components.data.examine import examine
from components.data.image_index import Row
from components.sources.config import DataConfig
from components.sources.source import RawImage
from pipeline.commands import lineage, lineage_facts, lineage_image
from pipeline.configuration import presets
from pipeline.configuration.overrides import override
from serving.store.store import Store
from tests.helpers.command_line import darkroom
from tests.helpers.embedded_artifacts import LINEAGES, WRITERS, contract, write
from tests.helpers.finished_runs import RUN
from tests.helpers.serving_fixtures import LABELS, seal

PROVENANCE = {
    "git_commit": "0123456789abcdef0123456789abcdef01234567",
    "git_dirty": False,
    "lock_sha256": "11" * 32,
    "code_sha256": "22" * 32,
    "python": "3.11.7",
    "packages": {"torch": "2.13.0"},
}


def picture(path: Path, seed: int) -> tuple[Path, str]:
    """A PNG of noise, and the digest of its pixels as ingest takes it."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(path)
    found = examine(RawImage("it", path.read_bytes(), 0, None), DataConfig(source=""))
    return path, found.sha256


def publish(root: Path, framework: str, rows: list[Row] | None, name="digits", **facts):
    """A release of every kind of artifact of that framework, with these images."""
    directory = root.parent / "source"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for file, (own, _) in WRITERS.items():
        if own == framework or file in ("model.onnx", "model.tflite", "saved_model"):
            writer = WRITERS[file][1]
            writer(directory / ("" if file == "saved_model" else file), contract(framework))
    (directory / "contract.json").write_text(json.dumps(contract(framework)))
    (directory / "labels.txt").write_text("\n".join(LABELS) + "\n")
    if rows is not None:
        (directory / "data").mkdir()
        index = {split: [r for r in rows if r.split == split] for split in ("train", "val", "test")}
        image_index.write_released(directory / "data" / image_index.RELEASED, index)
    told = {"framework": framework, "lineage": LINEAGES[framework], "run_id": RUN, **facts}
    return Store(root / "serving").publish(name, seal(directory, name, **told))


@pytest.fixture
def store(tmp_path):
    """An output root with two releases of digits: PyTorch's is current, Keras's is older and says
    less. The picture `one.png` is in both."""
    root = tmp_path / "out"
    _, digest = picture(tmp_path / "one.png", 1)
    config = override(presets.digits(), {"train.epochs": "7", "root": str(root)})
    publish(root, "keras", [Row("val", "4", digest)])
    publish(
        root,
        "torch",
        [Row("train", "3", digest), Row("train", "4", "ab" * 32), Row("test", "3", "cd" * 32)],
        config=config.model_dump(mode="json", exclude={"tune"}),
        provenance=PROVENANCE,
        metrics={"accuracy": 0.9876, "loss": 0.0456},
        formats=["saved_model", "onnx"],
        source_fingerprint="33" * 32,
    )
    Store(root / "serving").label("digits", "canary", 2)
    return root


def told(name, root: Path) -> str:
    out = io.StringIO()
    lineage.lineage(str(name), root, console=Console(file=out, width=120))
    return " ".join(out.getvalue().split())


def facts(name, root: Path) -> dict:
    return lineage_facts.told(lineage_facts.find(str(name), root), root)


def test_everything_that_is_recorded_of_a_release_is_told(store):
    text = told("digits", store)
    for words in (
        f"lineage id {LINEAGES['torch']}", "version 2 (current, canary)", "framework torch",
        "its files all as the manifest says", f"run {RUN}", "created 2026-01-01T00:00:00",
        "configuration preset digits and:", "train.epochs=7", f"commit {PROVENANCE['git_commit']}",
        "11" * 32, "22" * 32, "33" * 32, "Python 3.11.7, torch 2.13.0",
        "metrics accuracy 0.9876, loss 0.0456", "2 train, 0 val, 1 test of 2 classes",
        "digits/2/data/images.csv.gz",
    ):  # fmt: skip
        assert words in text, words
    assert "train.batch_size" not in text and "not recorded" not in text


def test_what_an_older_release_did_not_record_is_said_so(store):
    text = told("digits@1", store)
    for title in ("configuration", "commit", "lock (SHA-256)", "code (SHA-256)", "versions"):
        assert f"{title} not recorded" in text
    assert "version 1 release" in text and "metrics not recorded" in text
    found = facts("digits@1", store)
    assert found["git_commit"] is None and found["configuration"] is None
    assert found["images"]["val"] == {"4": 1}


@pytest.mark.parametrize("name", WRITERS)
def test_an_artifact_out_of_an_app_leads_to_its_release(store, tmp_path, name):
    framework = WRITERS[name][0]
    inside = Path(facts("digits@2" if framework == "torch" else "digits@1", store)["directory"])
    asset = tmp_path / "app" / "asset"
    asset.parent.mkdir()
    if name == "saved_model":
        for part in ("saved_model.pb", "fingerprint.pb", "variables", "assets.extra"):
            copy = shutil.copytree if (inside / part).is_dir() else shutil.copyfile
            asset.mkdir(exist_ok=True)
            copy(inside / part, asset / part)
    else:
        shutil.copyfile(inside / name, asset)
    found = facts(asset, store)
    assert found["lineage"] == LINEAGES[framework] and found["model"] == "digits"
    assert found["version"] == (2 if framework == "torch" else 1)
    assert found["file"]["state"] == "as released"
    assert found["file"]["why"] == (name if name != "saved_model" else "SavedModel")
    with (asset / "variables/variables.index" if asset.is_dir() else asset).open("ab") as file:
        file.write(b"\x32\x01x")  # to ONNX a description, to the others nothing
    altered = facts(asset, store)["file"]
    assert altered["state"] == "altered"
    if name == "saved_model":
        assert altered["why"] == "variables/variables.index differs"


def test_a_file_of_a_saved_model_that_is_missing_or_new_is_named(store, tmp_path):
    asset = tmp_path / "asset"
    shutil.copytree(store / "serving/models/digits/2", asset)
    (asset / "manifest.json").unlink()
    (asset / "variables/extra").write_text("new")
    assert facts(asset, store)["file"]["why"] == "variables/extra differs"
    (asset / "variables/extra").unlink()
    (asset / "fingerprint.pb").unlink()
    assert facts(asset, store)["file"]["why"] == "fingerprint.pb is missing"


def test_a_release_is_found_by_its_directory_wherever_it_lies(store, tmp_path):
    own = store / "serving/models/digits"
    assert facts(own / "1", store)["version"] == 1
    assert facts(own / "current", store)["version"] == 2
    shutil.copytree(own / "1", tmp_path / "copy")
    found = facts(tmp_path / "copy", store)
    assert found["version"] is None and found["releases"][0]["version"] == 1
    assert "outside of the store; the same model is digits@1" in told(tmp_path / "copy", store)
    (tmp_path / "copy/labels.txt").write_text("a\n")
    assert "labels.txt was altered" in told(tmp_path / "copy", store)


def test_the_same_model_under_two_names_is_told_as_such(store):
    publish(store, "torch", None, name="other")
    assert "the same model is digits@2 (current)" in told("other", store)
    asset = store / "serving/models/digits/2/model.pt2"
    assert facts(asset, store)["version"] in (1, 2)


@pytest.mark.parametrize(
    "name, words",
    [
        ("no_such_model", "neither a file nor a model released"),
        ("digits@9", "unknown version of digits '9'"),
        ("digits@stable", "neither a version nor a label of digits"),
        ("README.md", "is no artifact of a model, or a damaged one"),
        ("tests", "neither the directory of a release nor a SavedModel"),
        ("tests/data/centroids.tflite", "a TFLite file without a lineage id"),
    ],
)
def test_what_leads_to_no_release_is_one_sentence(store, monkeypatch, name, words):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=words) as error:
        lineage_facts.find(name, store)
    assert "\n" not in str(error.value)


def test_an_id_that_no_release_has_is_named_with_the_run_that_exported_it(tmp_path):
    asset = write("model.onnx", tmp_path / "asset.onnx")
    with pytest.raises(ConfigError, match=f"{LINEAGES['torch']}, and no release under"):
        lineage_facts.find(str(asset), tmp_path / "out")
    run = tmp_path / "out/runs" / RUN
    run.mkdir(parents=True)
    verdict = {"contract": {"models": {"torch": {"lineage": LINEAGES["torch"]}}}}
    (run / "verdict.json").write_text(json.dumps(verdict))
    (run.parent / "latest").symlink_to(RUN)
    with pytest.raises(ConfigError, match=f"run {RUN} exported it and did not release it"):
        lineage_facts.find(str(asset), tmp_path / "out")


def test_a_damaged_release_hides_no_other(store):
    asset = store / "serving/models/digits/2/model.onnx"
    (store / "serving/models/digits/1/manifest.json").write_text("{")
    assert facts(asset, store)["version"] == 2
    with pytest.raises(ConfigError, match="manifest.json cannot be read"):
        facts("digits@1", store)


@pytest.mark.parametrize(
    "facts",
    [
        {"metrics": [1]}, {"provenance": "none"}, {"files": {"model.onnx": 1}}, {"formats": 3},
        {"config": {"data.limit": "all"}}, {"data": 7},
    ],
)  # fmt: skip
def test_a_manifest_of_somebody_elses_is_told_or_refused_in_one_sentence(store, tmp_path, facts):
    copy = tmp_path / "copy"
    shutil.copytree(store / "serving/models/digits/1", copy)
    (copy / lineage_facts.INDEX).unlink()
    manifest = json.loads((copy / "manifest.json").read_text()) | facts
    (copy / "manifest.json").write_text(json.dumps(manifest | {"framework": "\x1b[31mred"}))
    try:
        assert "framework \\x1b[31mred" in told(copy, store)
    except ConfigError as error:
        assert "\n" not in str(error) and str(copy) in str(error)


def test_all_images_are_listed_with_names_where_the_run_is_still_there(store, capsys):
    lineage.lineage("digits", store, images=True)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "split,class,sha256" and f"train,4,{'ab' * 8}" in rows and len(rows) == 3
    whole = [
        Row("train", "3", picture(store.parent / "again.png", 1)[1], "photos/3/one.png"),
        Row("train", "4", "ab" * 32, "photos/4/a.png"),
        Row("test", "3", "cd" * 32, "photos/3/c.png"),
    ]
    (store / "runs" / RUN).mkdir(parents=True)
    image_index.write(store / "runs" / RUN / image_index.INDEX, whole)
    lineage.lineage("digits", store, images=True)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "split,class,sha256,name" and f"train,4,{'ab' * 32},photos/4/a.png" in rows
    # Another set's index, as of a run whose images changed under it, is not taken for this one's.
    image_index.write(store / "runs" / RUN / image_index.INDEX, whole[:2])
    lineage.lineage("digits", store, as_json=True, images=True)
    found = json.loads(capsys.readouterr().out)["every_image"]
    assert {"split": "test", "class": "3", "sha256": "cd" * 8} in found


def test_an_image_leads_to_every_release_that_has_it_however_it_is_stored(store, tmp_path):
    publish(store, "torch", None, name="older")
    for name in ("one.png", "one.bmp"):
        if name != "one.png":
            Image.open(tmp_path / "one.png").save(tmp_path / name)
        asked = lineage_image.ask(tmp_path / name, store)
        data = (tmp_path / name).read_bytes()
        assert asked.sha256 == hashlib.sha256(data).hexdigest()
        places = [(p.model, p.version, p.current, p.split, p.label) for p in asked.places]
        assert places == [("digits", 1, False, "val", "4"), ("digits", 2, True, "train", "3")]
        assert asked.searched == 2 and asked.without_index == ["older@1"]
    new = lineage_image.ask(picture(tmp_path / "new.png", 2)[0], store)
    assert new.places == []
    assert list(lineage.sentences(new)) == [
        "No release was trained or tested on it (the 2 searched).",
        "Not known, as they kept no index of images: older@1.",
    ]


def test_a_damaged_index_hides_no_other(store, tmp_path):
    index = store / "serving/models/digits/1" / lineage_facts.INDEX
    index.write_bytes(index.read_bytes()[:-9])
    asked = lineage_image.ask(tmp_path / "one.png", store)
    assert [place.version for place in asked.places] == [2] and asked.damaged == ["digits@1"]


def test_the_command_answers_without_loading_anything_heavy(store, tmp_path):
    for arguments in (["digits"], [str(tmp_path / "app.onnx")], ["--image", tmp_path / "one.png"]):
        write("model.onnx", tmp_path / "app.onnx")
        code = (
            "import runpy, sys\n"
            f"sys.argv = ['pipeline', 'lineage', *{list(map(str, arguments))!r}, 'root={store}']\n"
            "try: runpy.run_module('pipeline', run_name='__main__')\n"
            "except SystemExit as end: assert not end.code\n"
            "heavy = {'tensorflow', 'tfx', 'torch', 'keras', 'apache_beam', 'scipy', 'onnx'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "digits" in done.stdout


def test_the_command_line(store, tmp_path):
    done = darkroom("lineage", "digits@1", f"root={store}", "--json")
    assert json.loads(done.stdout)["version"] == 1 and done.returncode == 0
    found = darkroom("lineage", "--image", str(tmp_path / "one.png"), f"root={store}", "--json")
    assert [of["class"] for of in json.loads(found.stdout)["releases"]] == ["4", "3"]
    new, _ = picture(tmp_path / "new.png", 2)
    none = darkroom("lineage", "--image", str(new), f"root={store}")
    assert none.returncode == 0 and "No release was trained or tested on it" in none.stdout
    os.mkfifo(tmp_path / "pipe")
    for arguments, words in (
        ([], "expected RELEASE, FILE, or --image FILE alone"),
        (["digits", "--image", str(new)], "expected RELEASE, FILE, or --image FILE alone"),
        (["digits@9"], "unknown version of digits"),
        (["--image", str(ROOT / "README.md")], "is no image that a run would use: not an image"),
        (["--image", str(tmp_path / "pipe")], "does not exist, or is no file"),
        ([str(tmp_path / "pipe")], "neither a file nor a model"),
    ):
        done = darkroom("lineage", *arguments, f"root={store}")
        assert done.returncode == 2, done.stderr
        assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1
