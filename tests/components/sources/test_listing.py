"""When a listing is enough to know the contents, and when everything is read."""

import os
import time

import pytest

from components.sources.config import DataConfig
from components.sources.folder_source import FolderSource
from components.sources.listing import content_fingerprint
from components.sources.open_source import open_source
from tests.helpers.images import encode, tile


def png(number: int) -> bytes:
    return encode(tile(0, number, number), "PNG")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four images, written so long ago that the clock has gone on since."""
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "images" / name / f"{number}.png").write_bytes(png(number))
    real = time.time_ns
    monkeypatch.setattr("components.sources.source.time.time_ns", lambda: real() + 60 * 10**9)
    return tmp_path / "images"


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Paths of the files whose contents are read from now on."""
    found: list[str] = []
    _watch(monkeypatch, found)
    return found


def _watch(monkeypatch, found: list[str]) -> None:
    digest = FolderSource._digest
    monkeypatch.setattr(
        FolderSource, "_digest", lambda s, entry: found.append(entry.path) or digest(s, entry)
    )


def _look(folder, tmp_path, **options) -> str:
    config = DataConfig(source=f"folder:{folder}", **options)
    return content_fingerprint(open_source(config), config, tmp_path / "listings")


def test_contents_are_read_once_while_nothing_is_written(folder, tmp_path, reads):
    first = _look(folder, tmp_path)
    assert first == FolderSource(str(folder)).fingerprint()
    reads.clear()
    assert _look(folder, tmp_path) == first and not reads


def test_contents_of_the_same_size_and_time_of_modification_are_told_apart(folder, tmp_path):
    first, file = _look(folder, tmp_path), folder / "cat" / "1.png"
    before, content = file.stat(), bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _look(folder, tmp_path) != first


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "cat" / "3.png").write_bytes(png(3)),
        lambda folder: (folder / "cat" / "1.png").unlink(),
        lambda folder: (folder / "cat" / "1.png").rename(folder / "dog" / "3.png"),
        lambda folder: os.replace(folder / "cat" / "1.png", folder / "dog" / "1.png"),
    ],
    ids=["new", "gone", "moved", "replaced"],
)
def test_whatever_changes_is_noticed(folder, tmp_path, change):
    first = _look(folder, tmp_path)
    change(folder)
    assert _look(folder, tmp_path) != first


def test_of_a_grown_folder_only_new_files_are_read(folder, tmp_path, reads):
    _look(folder, tmp_path)
    reads.clear()
    (folder / "cat" / "3.png").write_bytes(png(3))
    (folder / "dog" / "1.png").write_bytes(png(4))
    assert _look(folder, tmp_path) == FolderSource(str(folder)).fingerprint()
    assert reads[:2] == ["cat/3.png", "dog/1.png"] and len(reads) == 2 + 5  # and all, without help


def test_what_was_written_as_it_was_listed_is_not_trusted(folder, tmp_path, monkeypatch):
    monkeypatch.undo()  # the images are a moment old
    reads: list[str] = []
    _watch(monkeypatch, reads)
    for _ in range(2):
        _look(folder, tmp_path)
    assert len(reads) == 8 and not list((tmp_path / "listings").glob("*.json"))


def test_verify_reads_everything_again(folder, tmp_path, reads):
    first = _look(folder, tmp_path)
    assert _look(folder, tmp_path, verify=True) == first and len(reads) == 8


def test_a_damaged_entry_is_made_again(folder, tmp_path, reads):
    first = _look(folder, tmp_path)
    entries = list((tmp_path / "listings").iterdir())
    for text in ("", "[]", '{"listing": 1}', '{"cat/1.png": 3}'):
        for entry in entries:
            entry.write_text(text)
        reads.clear()
        assert _look(folder, tmp_path) == first and len(reads) == 4
    reads.clear()
    assert _look(folder, tmp_path) == first and not reads


def test_a_file_written_while_contents_are_read_leaves_no_entry(folder, tmp_path, monkeypatch):
    digest = FolderSource._digest_all

    def meanwhile(source):
        found = digest(source)
        (folder / "cat" / "1.png").write_bytes(png(7))
        return found

    monkeypatch.setattr(FolderSource, "_digest_all", meanwhile)
    first = _look(folder, tmp_path)
    monkeypatch.setattr(FolderSource, "_digest_all", digest)
    assert not list((tmp_path / "listings").glob("*.json")) and _look(folder, tmp_path) != first


def test_ingest_may_trust_a_fingerprint_that_was_not_taken_anew(folder, tmp_path):
    config = DataConfig(source=f"folder:{folder}")
    _look(folder, tmp_path)
    source = open_source(config)
    fingerprint = content_fingerprint(source, config, tmp_path / "listings")
    assert all(len(content) == 64 for content in source.chunks()[0]["contents"])
    assert source.still(fingerprint)
    (folder / "cat" / "1.png").write_bytes(png(9))
    assert not source.still(fingerprint)
