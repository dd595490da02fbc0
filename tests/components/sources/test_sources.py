import json
import os
import pickle
from pathlib import Path

import pytest
from PIL import Image

from components.base.refusal import ConfigError, DataRefused
from components.sources.config import DataConfig
from components.sources.digits_source import DigitsSource
from components.sources.folder_source import FolderSource
from components.sources.open_source import open_source


def _picture(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), shade).save(path)
    return path


def _read_all(source) -> list:
    return [raw for chunk in source.chunks() for raw in source.read(chunk, max_bytes=10_000)]


def test_digits_are_1797_png_images_of_ten_classes():
    images = _read_all(DigitsSource())
    assert len(images) == 1797
    assert {image.label for image in images} == set(range(10))
    assert all(image.data.startswith(b"\x89PNG") for image in images)


def test_class_folders_become_labels_in_alphabetical_order_at_any_depth(tmp_path):
    _picture(tmp_path / "cat" / "deep" / "er" / "1.png")
    _picture(tmp_path / "ant" / "2.png")
    _picture(tmp_path / "ant" / ".hidden.png")
    source = FolderSource(str(tmp_path))
    assert source.labels == ("ant", "cat")
    assert [(raw.name, raw.label, raw.split) for raw in _read_all(source)] == [
        ("ant/2.png", 0, None),
        ("cat/deep/er/1.png", 1, None),
    ]
    assert source.counts() == [1, 1]


def test_own_splits_are_honoured_and_validation_counts_as_val(tmp_path):
    for split in ("train", "validation", "test"):
        for name in ("a", "b"):
            _picture(tmp_path / split / name / "1.png")
    source = FolderSource(str(tmp_path))
    assert source.labels == ("a", "b") and source.splits == {"train", "val", "test"}
    assert sorted({raw.split for raw in _read_all(source)}) == ["test", "train", "val"]


@pytest.mark.parametrize(
    "folders",
    [
        ("bus", "car", "train/x", "train/y"),
        ("val/x", "val/y", "test/x", "test/y"),
        ("train/x", "train/y", "val/x", "validation/x"),
    ],
)
def test_a_mixture_of_split_and_class_folders_is_refused_and_not_guessed(tmp_path, folders):
    for folder in folders:
        _picture(tmp_path / folder / "1.png")
    with pytest.raises(DataRefused, match="expected either one per class, or train"):
        FolderSource(str(tmp_path))


def test_a_class_may_be_called_train_and_splits_may_be_capitalised(tmp_path):
    for folder in ("plain/bus", "plain/train", "split/Train/x", "split/Train/y", "split/Test/x"):
        _picture(tmp_path / folder / "1.png")
    plain, split = (FolderSource(str(tmp_path / name)) for name in ("plain", "split"))
    assert plain.labels == ("bus", "train") and not plain.splits
    assert split.labels == ("x", "y") and split.splits == {"train", "test"}


def test_a_class_name_that_is_no_text_is_refused(tmp_path):
    _picture(tmp_path / "a" / "1.png")
    os.mkdir(os.fsencode(tmp_path) + b"/b\xff")
    with pytest.raises(DataRefused, match="not printable text"):
        FolderSource(str(tmp_path))


def test_an_empty_class_folder_changes_the_fingerprint_because_it_changes_the_labels(tmp_path):
    _picture(tmp_path / "b" / "1.png")
    _picture(tmp_path / "c" / "1.png")
    before = FolderSource(str(tmp_path)).fingerprint()
    (tmp_path / "a").mkdir()
    assert FolderSource(str(tmp_path)).fingerprint() != before


def test_links_pipes_and_large_files_are_reported_and_never_opened(tmp_path):
    _picture(tmp_path / "a" / "1.png")
    outside = _picture(tmp_path.parent / f"{tmp_path.name}-outside.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link.png").symlink_to(outside)
    os.mkfifo(tmp_path / "b" / "pipe.png")
    (tmp_path / "b" / "large.png").write_bytes(bytes(20_000))
    problems = {raw.name: raw.problem for raw in _read_all(FolderSource(str(tmp_path)))}
    assert problems == {
        "a/1.png": None,
        "b/large.png": "file_too_large",
        "b/link.png": "symbolic_link",
        "b/pipe.png": "not_a_regular_file",
    }


def test_linked_folders_and_loops_are_reported_and_not_followed(tmp_path):
    _picture(tmp_path / "a" / "1.png")
    _picture(tmp_path / "b" / "2.png")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    _picture(outside / "3.png")
    (tmp_path / "c").symlink_to(outside, target_is_directory=True)
    (tmp_path / "b" / "linked").symlink_to(outside, target_is_directory=True)
    (tmp_path / "b" / "loop").symlink_to(tmp_path, target_is_directory=True)
    source = FolderSource(str(tmp_path))
    assert source.labels == ("a", "b")
    assert {(raw.name, raw.label, raw.problem) for raw in _read_all(source)} == {
        ("a/1.png", 0, None),
        ("b/2.png", 1, None),
        ("b/linked", 1, "symbolic_link"),
        ("b/loop", 1, "symbolic_link"),
        ("c", -1, "symbolic_link"),
    }


def test_a_file_that_became_a_link_after_the_listing_is_not_followed(tmp_path):
    swapped = _picture(tmp_path / "a" / "1.png")
    _picture(tmp_path / "b" / "2.png")
    source = FolderSource(str(tmp_path))
    swapped.unlink()
    swapped.symlink_to(tmp_path / "b" / "2.png")
    assert [raw.problem for raw in _read_all(source)] == ["symbolic_link", None]


def test_what_lies_beside_the_class_folders_is_counted_or_named(tmp_path):
    for path in ("a/1.png", "b/2.png", "loose.jpg", ".git/objects/3.png"):
        _picture(tmp_path / path)
    for name in ("labels.csv", "Thumbs.db"):
        (tmp_path / name).write_text("no image")
    os.mkfifo(tmp_path / "pipe")
    source = FolderSource(str(tmp_path))
    assert source.ignored == (".git", "Thumbs.db", "labels.csv")
    found = {(raw.name, raw.label, raw.problem) for raw in _read_all(source)}
    assert found - {("a/1.png", 0, None), ("b/2.png", 1, None)} == {
        ("loose.jpg", -1, "outside_class_folder"),
        ("pipe", -1, "not_a_regular_file"),
    }
    assert source.counts() == [1, 1] and [label for label, _ in source.sample(10)] == [0, 1]


def test_a_file_that_may_not_be_read_is_reported(tmp_path, monkeypatch):
    locked = _picture(tmp_path / "a" / "1.png")
    _picture(tmp_path / "b" / "2.png")
    opened = os.open

    def refusing(path, *rest):
        if path == str(locked):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *rest)

    source = FolderSource(str(tmp_path))
    before = source.fingerprint()
    monkeypatch.setattr(os, "open", refusing)  # permissions do not stop root, who runs tests in CI
    assert [r.problem for r in _read_all(source)] == ["unreadable: Permission denied", None]
    assert source.fingerprint() != before


def test_chunks_keep_every_name_and_survive_json(tmp_path):
    _picture(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    with open(os.fsencode(tmp_path) + b"/b/\xff\n.png", "wb") as file:
        file.write(b"content")
    source = pickle.loads(pickle.dumps(FolderSource(str(tmp_path))))
    assert source.chunks() == []  # workers get the chunks, not the listing
    chunks = json.loads(json.dumps(FolderSource(str(tmp_path)).chunks()))
    images = [raw for chunk in chunks for raw in source.read(chunk, 10_000)]
    assert [raw.name for raw in images] == ["a/1.png", "b/\\xff\n.png"]
    assert images[1].data == b"content"


def test_the_fingerprint_follows_names_and_contents_but_not_times(tmp_path):
    first = _picture(tmp_path / "a" / "1.png", 10)
    _picture(tmp_path / "b" / "2.png", 20)
    before = FolderSource(str(tmp_path)).fingerprint()
    os.utime(first, (0, 0))
    assert FolderSource(str(tmp_path)).fingerprint() == before
    _picture(first, 11)
    assert FolderSource(str(tmp_path)).fingerprint() != before


def test_an_unknown_kind_of_source_is_refused():
    with pytest.raises(ConfigError, match="expected digits, tfds:NAME, folder:PATH, tar"):
        open_source(DataConfig(source="s3:bucket"))
