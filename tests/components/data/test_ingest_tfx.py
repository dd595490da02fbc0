"""Ingest on Beam: the same result on every runner mode, without leaks, whatever the names."""

import collections
import contextlib
import json
import os
import shutil
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image

from components.data import image_index
from components.data.arrays import ImageArrays
from components.data.examine import examine
from components.data.ingest import require_trainable
from components.data.ingest_tfx import ingest
from components.data.pack import write_description
from components.data.pack_tfx import PackFile
from components.data.recall import Recall
from components.data.shards_tfx import rearrange
from components.data.tfrecords import places
from components.gates.data_gate import DataGateConfig, check_accounting
from components.sources.config import DataConfig
from components.sources.open_source import listed_once, open_source
from components.sources.source import SPLITS, RawImage
from pipeline.line import runner
from serving.contract.image_spec import ImageSpec
from tests.helpers.export_data import transform_graph
from tests.helpers.images import encode, tile, write_class_folders

IN_MEMORY = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
PROCESSES = [
    "--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2",
]  # fmt: skip


def _ingest(folder: Path, output: Path, options=IN_MEMORY) -> dict:
    """Runs ingest; returns its account."""
    config = DataConfig(source=f"folder:{folder}")
    output.mkdir()
    with beam.Pipeline(options=PipelineOptions(options)) as p:
        ingest(p, config, open_source(config).labels, output, output)
    return json.loads((output / "accounting.json").read_text())


def _records(output: Path) -> dict[str, list[bytes]]:
    """Sorted records of each file, by its name."""
    paths = sorted(output.glob("Split-*/*"))
    return {
        str(path.relative_to(output)): sorted(tf.data.TFRecordDataset(path).as_numpy_iterator())
        for path in paths
    }


def _pictures(output: Path, split: str) -> list[str]:
    return [
        tf.train.Example.FromString(record).features.feature["sha256"].bytes_list.value[0].decode()
        for name, records in _records(output).items()
        if name.startswith(f"Split-{split}/")
        for record in records
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three classes in train and test, 200 renamed copies among them, and files that are bad."""
    root = tmp_path_factory.mktemp("photos")
    whole = write_class_folders(root / "whole", per_class=100, size=16)
    for path in sorted(whole.glob("*/*")):
        split = "test" if int(path.stem) >= 60 else "train"
        target = root / "photos" / split / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    shutil.rmtree(whole)
    images = sorted((root / "photos" / "test").glob("*/*"))
    for number in range(200):
        source = images[number % len(images)]
        other = root / "photos" / "train" / source.parent.name / f"renamed-{number}{source.suffix}"
        shutil.copyfile(source, other)
    (root / "photos" / "train" / "temple" / "broken\nname.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "photos" / "test" / "flower" / "gone.jpg").symlink_to("/etc/passwd")
    for place in range(5):
        gif = encode(tile(1, 9, place), "GIF")
        (root / "photos" / "train" / "flower" / f"{place}.gif").write_bytes(gif)
    return root / "photos"


@pytest.fixture(scope="module")
def output(folder, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("ingested") / "in_memory"
    _ingest(folder, directory)
    return directory


def test_two_hundred_renamed_copies_leave_no_exact_leak(output):
    account = json.loads((output / "accounting.json").read_text())
    assert account["duplicates"] >= 200
    pictures = {split: set(_pictures(output, split)) for split in SPLITS}
    assert all(pictures.values())
    assert not pictures["train"] & pictures["test"]
    assert not pictures["train"] & pictures["val"] and not pictures["val"] & pictures["test"]


def test_files_and_account_agree(output):
    account = json.loads((output / "accounting.json").read_text())
    assert account["read"] == 300 + 200 + 2 + 5
    assert account["read"] == account["good"] + account["quarantined"] + account["duplicates"]
    for split in SPLITS:
        assert len(_pictures(output, split)) == sum(account["splits"][split].values())
    reasons = {f["name"]: f["detail"] for f in account["findings"]["quarantined"]}
    assert reasons["test/flower/gone.jpg"] == "symbolic_link"
    assert account["reencoded"] == {"GIF": 5}
    assert not list(output.glob(".*"))


@pytest.mark.full  # what they decode and what they recall, test_worker_processes_recall_the_same
def test_two_worker_processes_give_the_same_files_and_the_same_account(output, folder, tmp_path):
    with runner.beam_workers():
        account = _ingest(folder, tmp_path / "processes", PROCESSES)
    assert account == json.loads((output / "accounting.json").read_text())
    assert _records(tmp_path / "processes") == _records(output)


def test_renaming_every_file_leaves_the_splits_as_they_were(tmp_path):
    folder = write_class_folders(tmp_path / "photos", per_class=60, size=16)
    _ingest(folder, tmp_path / "before")
    for number, path in enumerate(sorted(folder.glob("*/*"), reverse=True)):
        path.rename(path.with_name(f"other-{number}{path.suffix}"))
    _ingest(folder, tmp_path / "after")
    for split in SPLITS:
        before = collections.Counter(_pictures(tmp_path / "before", split))
        assert before and before == collections.Counter(_pictures(tmp_path / "after", split))


def _shards(directory: Path) -> dict[str, list[str]]:
    """Digests in each split's file, in order."""
    return {split: _digests(directory / f"Split-{split}" / "data") for split in SPLITS}


def _digests(path: Path) -> list[str]:
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator() if path.exists() else ()
    examples = map(tf.train.Example.FromString, records)
    return [e.features.feature["sha256"].bytes_list.value[0].decode()[:32] for e in examples]


@pytest.fixture
def shards(output, tmp_path) -> Path:
    """One chunk's files in `Split-*/data`: 8 images or so of each split."""
    for split in SPLITS:
        (tmp_path / f"Split-{split}").mkdir()
        whole = tf.data.TFRecordDataset(str(sorted(output.glob(f"Split-{split}/*"))[0]))
        with tf.io.TFRecordWriter(str(tmp_path / f"Split-{split}" / "data")) as writer:
            for record in whole.take(8).as_numpy_iterator():
                writer.write(record)
    return tmp_path


@pytest.mark.parametrize("stopped_at", range(6))
def test_rearranging_loses_nothing_wherever_it_is_stopped(shards, stopped_at, monkeypatch):
    """Images move between all splits both ways, and one leaves; then it is done once more."""
    before = _shards(shards)
    train, val, test = (before[split] for split in SPLITS)
    order = [(digest, "test" if place % 3 else "train") for place, digest in enumerate(train)]
    order += [(digest, "test" if place % 2 else "val") for place, digest in enumerate(val)]
    order += [(digest, "val" if place % 2 else "test") for place, digest in enumerate(test[1:])]
    order = order[::2] + order[1::2]
    calls = []

    def replace(*paths):
        calls.append(paths)
        if len(calls) == stopped_at:
            raise OSError("stopped")
        return real(*paths)

    real = os.replace
    monkeypatch.setattr("components.data.shards_tfx.os.replace", replace)
    if stopped_at:
        with contextlib.suppress(OSError):
            rearrange(shards, "data", order)
    for _ in range(2):
        rearrange(shards, "data", order)
        found = _shards(shards)
        assert found == {s: [digest for digest, split in order if split == s] for s in SPLITS}


def test_files_that_all_images_leave_disappear_and_others_appear(shards):
    everything = [(digest, "val") for digests in _shards(shards).values() for digest in digests]
    (shards / "Split-test" / "data").unlink()
    for _ in range(2):
        rearrange(shards, "data", everything[:16])
        assert [path.parent.name for path in shards.glob("Split-*/*")] == ["Split-val"]
    assert not list(shards.glob(".*"))


def _small_classes(root: Path, classes: int, per_class: int) -> Path:
    """Each class is a strip of one photograph, cut into tiles."""
    for label in range(classes):
        folder = root / f"class_{label:02d}"
        folder.mkdir(parents=True)
        for number in range(per_class):
            place = label * per_class + number
            image = tile(place // 1000, place % 1000 // 40, place % 40, 16, 16)
            image.save(folder / f"{number}.png")
    return root


@pytest.mark.parametrize("classes, per_class", [(60, 5), (3, 20)])
def test_small_classes_are_in_every_split_and_pass_the_gate(
    classes, per_class, tmp_path, monkeypatch
):
    monkeypatch.setattr("components.sources.listed_source.CHUNK", 50)
    folder = _small_classes(tmp_path / "photos", classes, per_class)
    account = _again(folder, tmp_path / "first", tmp_path / "cache")
    require_trainable(account)
    assert all(gate.passed for gate in check_accounting(account, DataGateConfig()))
    assert account["good"] == classes * per_class
    index = image_index.read(tmp_path / "first" / image_index.INDEX)
    for split in SPLITS:
        assert {row.label for row in index[split]} == set(account["splits"]["train"])
        expected = sorted(row.sha256 for row in index[split])
        assert sorted(d[:32] for d in _pictures(tmp_path / "first", split)) == expected
    tile(1, 20, 3, 16, 16).save(folder / "class_01" / "new.png")
    _again(folder, tmp_path / "second", tmp_path / "cache")
    _ingest(folder, tmp_path / "full")
    assert _files(tmp_path / "second") == _files(tmp_path / "full")


def test_the_index_has_every_image_in_the_order_of_the_packed_arrays(folder, tmp_path, monkeypatch):
    """Of fourteen chunks, whose splits are emptied in part or whole by duplicates."""
    monkeypatch.setattr("components.sources.listed_source.CHUNK", 37)
    account = _ingest(folder, tmp_path / "ingested")
    spec = ImageSpec(16, 16, 3)
    pack = PackFile(str(transform_graph(tmp_path / "transform", spec)), str(tmp_path), spec)
    pack.setup()
    files = sorted((tmp_path / "ingested").glob("Split-*/*"), reverse=True)
    for path in files:
        list(pack.process((path.parent.name.removeprefix("Split-"), str(path))))
    labels = list(account["splits"]["train"])
    write_description(tmp_path, spec, labels)

    index = image_index.read(tmp_path / "ingested" / image_index.INDEX)
    config = DataConfig(source="folder:unused")
    assert len(files) > 14 and account["duplicates"] >= 200
    for split, rows in index.items():
        packed = ImageArrays(tmp_path).split(split)
        assert len(packed) == len(rows) == sum(account["splits"][split].values()) > 0
        assert [labels[label] for label in packed.labels] == [row.label for row in rows]
        for row, pixels in zip(rows, packed.packed(range(len(rows)))):
            file = folder / row.name
            contents = [file.read_bytes()]
            if file.suffix != ".gif":  # those are larger, and packed smaller
                contents.append(encode(Image.fromarray(pixels), "PNG"))
            for data in contents:
                assert examine(RawImage("", data, 0, split), config).sha256.startswith(row.sha256)
            assert file.parent.name == row.label


def _again(folder: Path, output: Path, cache: Path, options=IN_MEMORY) -> dict:
    """An ingest that takes from `cache` what the one before has decoded."""
    config = DataConfig(source=f"folder:{folder}")
    output.mkdir()
    recall = Recall(cache, "the same")
    recall.begin()
    with listed_once():
        source = open_source(config)
        source.fingerprint()
        with beam.Pipeline(options=PipelineOptions(options)) as p:
            ingest(p, config, source.labels, output, output, recall)
    recall.finish()
    return json.loads((output / "accounting.json").read_text())


def _files(output: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def _examined(monkeypatch) -> list[str]:
    """Names of the files that are decoded from now on."""
    names: list[str] = []
    monkeypatch.setattr(
        "components.data.ingest_tfx.examine",
        lambda raw, config: names.append(raw.name) or examine(raw, config),
    )
    return names


@pytest.fixture
def grown(folder, tmp_path, monkeypatch) -> Path:
    """The photographs after an ingest: some are new, gone, renamed, of another class, edited."""
    monkeypatch.setattr("components.sources.listed_source.CHUNK", 50)
    now = Path(shutil.copytree(folder, tmp_path / "photos"))
    _again(now, tmp_path / "first", tmp_path / "cache")
    train = now / "train"
    whole = sorted(path for path in (train / "temple").iterdir() if path.suffix == ".png")
    shutil.move(whole[0], train / "flower" / "moved.png")
    whole[1].rename(train / "temple" / "renamed.png")
    whole[2].unlink()
    (train / "temple" / "new.png").write_bytes(encode(tile(0, 5, 7, 16, 16), "PNG"))
    (train / "flower" / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    whole[3].write_bytes(encode(tile(1, 5, 7, 16, 16), "PNG"))
    return now


def test_only_files_that_changed_are_decoded_and_the_result_is_that_of_a_full_ingest(
    grown, tmp_path, monkeypatch
):
    names = _examined(monkeypatch)
    _again(grown, tmp_path / "second", tmp_path / "cache")
    decoded = {Path(name).name for name in names}
    assert {"moved.png", "new.png", "bad.jpg"} <= decoded and "renamed.png" not in decoded
    assert len(names) == 4
    _ingest(grown, tmp_path / "full")
    assert _files(tmp_path / "second") == _files(tmp_path / "full")


def test_worker_processes_recall_the_same(grown, tmp_path):
    with runner.beam_workers():
        _again(grown, tmp_path / "second", tmp_path / "cache", PROCESSES)
    _ingest(grown, tmp_path / "full")
    assert _files(tmp_path / "second") == _files(tmp_path / "full")


@pytest.mark.parametrize(
    "what, fault",
    [("chunk-00000.json", "flipped"), ("00000-test", "flipped"), ("identity", "gone")],
)
def test_what_is_damaged_is_decoded_again(grown, tmp_path, what, fault):
    file = tmp_path / "cache" / "last" / what
    content = bytearray(file.read_bytes())
    file.unlink()  # shards are the artifact's own files
    content[len(content) // 2] ^= 1
    if fault == "flipped":
        file.write_bytes(content)
    _again(grown, tmp_path / "second", tmp_path / "cache")
    _ingest(grown, tmp_path / "full")
    assert _files(tmp_path / "second") == _files(tmp_path / "full")


def test_only_the_last_ingest_is_kept_and_what_a_stopped_one_left_is_removed(grown, tmp_path):
    stopped = Recall(tmp_path / "cache", "another")
    stopped.begin()
    shutil.rmtree(grown / "train" / "temple")
    _again(grown, tmp_path / "second", tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["last"]
    records = (tmp_path / "cache" / "last").glob("*-train")
    assert sum(len(places(path)) for path in records) < len(list(grown.rglob("train/*/*")))


def test_other_settings_or_code_recall_nothing(grown, tmp_path):
    key = json.loads((tmp_path / "cache/last/chunk-00000.json").read_text().split("\n")[1])
    key = key["rows"][0][0]
    assert Recall(tmp_path / "cache", "the same").find(key) is not None
    assert Recall(tmp_path / "cache", "another").find(key) is None
    assert Recall(tmp_path / "cache", "the same").find("") is None
