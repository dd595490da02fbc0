"""From names to classes and splits, without a file."""

import pytest
from PIL import Image

from components.base.refusal import DataRefused
from components.sources.layout import Entry, Layout, arrange
from tests.helpers.images import encode

_IMAGES = {
    f"loose.{format.lower()}": encode(Image.new("RGB", (8, 8)), format)
    for format in ("JPEG", "PNG", "GIF", "BMP", "WEBP")
}


def _arrange(*paths: str, folders=(), unwrap=False, content=_IMAGES, **problems) -> Layout:
    entries = [Entry(path, problems.get(path.rpartition("/")[2])) for path in paths]
    return arrange("x:y", folders, entries, lambda e: content.get(e.path, b"")[:32], unwrap)


def _placed(layout: Layout) -> dict[str, tuple]:
    return {e.path: (e.split, e.label, e.problem) for e in layout.entries}


def test_every_entry_is_placed_reported_outside_or_ignored():
    layout = _arrange(
        "cat/1.png", "cat/deep/2.png", "dog/3.png", "README.txt", ".DS_Store", "loose.png",
        "cat/.hidden/4.png", "cat/Thumbs.db", "__MACOSX/cat/._1.png", "__MACOSX/cat/._2.png",
    )  # fmt: skip
    assert layout.labels == ("cat", "dog") and not layout.splits
    assert _placed(layout) == {
        "cat/1.png": (None, 0, None),
        "cat/deep/2.png": (None, 0, None),
        "dog/3.png": (None, 1, None),
        "loose.png": (None, -1, "outside_class_folder"),
    }
    assert layout.ignored == (
        ".DS_Store", "README.txt", "__MACOSX", "cat/.hidden", "cat/Thumbs.db",
    )  # fmt: skip


@pytest.mark.parametrize("name", _IMAGES)
def test_a_loose_image_is_known_by_its_content(name):
    layout = _arrange("a/1.png", "b/2.png", name)
    assert _placed(layout)[name] == (None, -1, "outside_class_folder")
    assert _arrange("a/1.png", "b/2.png", name, content={}).ignored == (name,)


def test_loose_files_of_a_split_keep_it_and_have_no_class():
    layout = _arrange(
        "train/a/1.png", "train/b/2.png", "test/a/3.png", "test/loose.png", "test/labels.csv",
        content={"test/loose.png": _IMAGES["loose.png"]},
    )  # fmt: skip
    assert layout.splits == {"train", "test"} and layout.ignored == ("test/labels.csv",)
    assert _placed(layout)["test/loose.png"] == ("test", -1, "outside_class_folder")
    assert _placed(layout)["test/a/3.png"] == ("test", 0, None)


def test_what_must_not_be_opened_is_reported_with_the_class_it_lies_in():
    layout = _arrange("a/1.png", "b/2.png", "link", "b/pipe", link="symbolic_link", pipe="p")
    assert _placed(layout)["link"] == (None, -1, "symbolic_link")
    assert _placed(layout)["b/pipe"] == (None, 1, "p")


def test_folders_without_files_are_classes_too():
    assert _arrange("b/1.png", folders=["a", "b"]).labels == ("a", "b")


@pytest.mark.parametrize("around", ["", "wrapped/", "twice/wrapped/"])
def test_wrapping_folders_are_descended_into_where_asked(around):
    plain = _arrange(f"{around}a/1.png", f"{around}b/2.png", unwrap=True)
    assert plain.labels == ("a", "b")
    split = _arrange(f"{around}Train/a/1.png", f"{around}Train/b/2.png", unwrap=True)
    assert split.labels == ("a", "b") and split.splits == {"train"}
    assert [entry.label for entry in split.entries] == [0, 1]


def test_a_wrapping_folder_with_files_beside_it_is_not_descended_into():
    with pytest.raises(DataRefused, match=r"Only one class \('w'\) .* files lie beside it"):
        _arrange("w/a/1.png", "w/b/2.png", "other.txt", unwrap=True)
    assert _arrange("w/a/1.png", "w/b/2.png", ".DS_Store", unwrap=True).labels == ("a", "b")


def test_the_refusal_of_a_single_class_names_the_folder_that_was_probably_meant():
    with pytest.raises(DataRefused, match="did you mean x:y/photos?"):
        _arrange("photos/a/1.png", "photos/b/2.png")
    with pytest.raises(DataRefused, match="needs at least two subfolders"):
        _arrange("photos/1.png")


def test_images_that_lie_outside_of_any_class_folder_are_named_in_the_refusal():
    with pytest.raises(DataRefused, match=r"No images in x:y.*\(1 files lie outside of any\)"):
        _arrange("loose.png", "README.txt", folders=["a", "b"])


def test_names_that_are_no_utf8_are_kept_for_opening_and_escaped_for_reading():
    name = b"a/\xff.png".decode("utf-8", "surrogateescape")
    layout = _arrange(name, "b/1.png", b"\xfe".decode("utf-8", "surrogateescape"))
    assert layout.entries[0].raw_path == b"a/\xff.png"
    assert layout.ignored == ("\\xfe",)
