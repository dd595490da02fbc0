"""Archives as sources, hostile ones among them, and the real smiles.tar where it is at hand."""

import gzip
import os
import pickle
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from components.base.fingerprint import ROOT
from components.base.refusal import ConfigError, DataRefused
from components.sources.archive_source import TarSource, ZipSource
from components.sources.config import DataConfig
from components.sources.folder_source import FolderSource
from components.sources.open_source import open_source
from components.sources.source import RawImage
from pipeline.configuration.configure import configure
from tests.helpers.archives import COMPRESSIONS, PICTURE, write_tar, write_zip
from tests.helpers.images import encode, write_class_folders

SMILES = ROOT.parent / "shared" / "data" / "smiles.tar"
LIMIT = 10_000
LINKS = {tarfile.SYMTYPE: "symbolic_link", tarfile.LNKTYPE: "hard_link"}


def _write(path: Path, *members) -> Path:
    return (write_tar if path.suffix == ".tar" else write_zip)(path, *members)


def _open(path: Path):
    return (TarSource if ".tar" in path.name else ZipSource)(str(path))


def _read_all(source) -> list[RawImage]:
    return [raw for chunk in source.chunks() for raw in source.read(chunk, LIMIT)]


def _problems(path: Path) -> dict[str, str | None]:
    images = _read_all(_open(path))
    assert all((raw.data is None) == bool(raw.problem) for raw in images)
    return {raw.name: raw.problem for raw in images}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_gives_what_its_unpacked_folder_gives(tmp_path, kind):
    folder = write_class_folders(tmp_path / "photos", per_class=5)
    archive = tmp_path / f"photos.{kind}"
    _write(archive, *((str(p.relative_to(tmp_path)), p.read_bytes()) for p in folder.rglob("*.*g")))
    source = _open(archive)
    inside = {(raw.name.removeprefix("photos/"), raw.data, raw.label) for raw in _read_all(source)}
    unpacked = FolderSource(str(folder))
    assert inside == {(raw.name, raw.data, raw.label) for raw in _read_all(unpacked)}
    assert source.labels == unpacked.labels and source.counts() == unpacked.counts()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", archive.name]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_chunks_of_a_tar_are_read_in_any_order_whatever_its_compression(
    tmp_path, monkeypatch, compression
):
    monkeypatch.setattr("components.sources.listed_source.CHUNK", 3)
    contents = {f"{c}/{i}.png": PICTURE + bytes([i]) * 700 for i in range(5) for c in "ab"}
    path = write_tar(tmp_path / "plain.tar", *contents.items())
    archive = tmp_path / f"images.tar.{compression}"
    archive.write_bytes(COMPRESSIONS[compression](path.read_bytes()))
    source = _open(archive)
    chunks = source.chunks()
    assert len(chunks) == 4
    worker = pickle.loads(pickle.dumps(source))
    images = [raw for chunk in reversed(chunks) for raw in worker.read(chunk, LIMIT)]
    assert {raw.name: raw.data for raw in images} == contents
    again = pickle.loads(pickle.dumps(worker))  # although it holds the archive open
    assert next(again.read(chunks[0], LIMIT)).data == contents["a/0.png"]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_splits_wrapping_folders_and_clutter_are_understood(tmp_path, kind):
    path = _write(
        tmp_path / f"a.{kind}",
        "./set/train/a/1.png", "./set/train/b/2.png", "./set/val/a/3.png", "./set/test/b/4.png",
        ("./set/test/loose.png", PICTURE), ("./set/notes.txt", b"notes"), "__MACOSX/set/._x.png",
    )  # fmt: skip
    source = _open(path)
    assert source.splits == {"train", "val", "test"} and source.labels == ("a", "b")
    assert source.ignored == ("__MACOSX", "set/notes.txt")
    found = {(raw.name, raw.split, raw.label, raw.problem) for raw in _read_all(source)}
    assert ("set/test/loose.png", "test", -1, "outside_class_folder") in found
    assert ("set/val/a/3.png", "val", 0, None) in found and len(found) == 5


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_that_would_leave_the_archive_are_reported_and_nothing_is_written(tmp_path, kind):
    hostile = ("../../evil.png", "/etc/evil.png", "a/../../evil.png")
    (tmp_path / "inner").mkdir()
    path = _write(tmp_path / "inner" / f"a.{kind}", "a/1.png", "b/1.png", *hostile)
    assert _problems(path) == {
        "a/1.png": None,
        "b/1.png": None,
        **dict.fromkeys(hostile, "path_outside_archive"),
    }
    assert [p.name for p in tmp_path.rglob("*")] == ["inner", path.name]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_of_members_with_one_name_the_last_counts(tmp_path, kind):
    path = _write(tmp_path / f"a.{kind}", ("a/1.png", b"old"), "b/1.png", ("./a/1.png", b"new"))
    images = [(raw.name, raw.data, raw.problem) for raw in _read_all(_open(path))]
    assert images == [
        ("a/1.png", None, "replaced_in_archive"),
        ("b/1.png", PICTURE, None),
        ("a/1.png", b"new", None),
    ]


def test_links_devices_and_sparse_members_of_a_tar_are_reported(tmp_path):
    odd = []
    for number, kind in enumerate((*LINKS, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"?")):
        info = tarfile.TarInfo(f"b/{number}")
        info.type, info.linkname = kind, "/etc/passwd"
        odd.append(info)
    sparse = tarfile.TarInfo("b/9")
    sparse.type = tarfile.GNUTYPE_SPARSE
    problems = _problems(write_tar(tmp_path / "a.tar", "a/1.png", *odd, sparse))
    assert problems == {
        "a/1.png": None,
        "b/0": "symbolic_link",
        "b/1": "hard_link",
        **dict.fromkeys(("b/2", "b/3", "b/4", "b/9"), "not_a_regular_file"),
    }


def test_links_and_devices_of_a_zip_are_reported(tmp_path):
    members = []
    for name, kind in (("b/link", stat.S_IFLNK), ("b/pipe", stat.S_IFIFO), ("b/2", stat.S_IFREG)):
        info = zipfile.ZipInfo(name)
        info.external_attr = (kind | 0o644) << 16
        members.append((info, PICTURE))
    assert _problems(write_zip(tmp_path / "a.zip", "a/1.png", *members)) == {
        "a/1.png": None,
        "b/link": "symbolic_link",
        "b/pipe": "not_a_regular_file",
        "b/2": None,
    }


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_over_the_limit_are_not_read(tmp_path, kind):
    path = _write(tmp_path / f"a.{kind}", "a/1.png", ("b/large.png", bytes(LIMIT + 1)))
    large = _read_all(_open(path))[1]
    assert (large.problem, large.size, large.data) == ("file_too_large", LIMIT + 1, None)


def _patched(path: Path, name: bytes, offset: int, value: bytes) -> Path:
    """A zip whose central directory says `value` at `offset` of the record of `name`."""
    data = bytearray(path.read_bytes())
    record = data.rindex(b"PK\1\2", 0, data.rindex(name))
    data[record + offset : record + offset + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "offset, value, problem",
    [
        (8, b"\1\0", "encrypted"),
        (10, struct.pack("<H", zipfile.ZIP_BZIP2), "unsupported_compression"),
        (10, b"\x63\0", "unsupported_compression"),
        (16, b"\0\0\0\0", "damaged_in_archive"),  # the checksum
        (24, struct.pack("<L", 50), "damaged_in_archive"),  # a size below the true one
        (24, struct.pack("<L", 2**31), "file_too_large"),
        (42, b"\xff\xff\0\0", "damaged_in_archive"),  # where it lies
    ],
)
def test_a_zip_is_not_believed(tmp_path, offset, value, problem):
    path = write_zip(tmp_path / "a.zip", "a/1.png", ("b/bad.png", PICTURE + bytes(5_000)))
    assert _problems(_patched(path, b"b/bad.png", offset, value)) == {
        "a/1.png": None,
        "b/bad.png": problem,
    }


def test_a_member_that_unpacks_to_more_than_it_says_costs_no_more_memory_than_the_limit(tmp_path):
    import tracemalloc

    path = write_zip(tmp_path / "a.zip", "a/1.png", ("b/bomb.png", bytes(20_000_000)))
    _patched(path, b"b/bomb.png", 24, struct.pack("<L", LIMIT))
    source = _open(path)
    tracemalloc.start()
    images = _read_all(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert images[1].problem == "damaged_in_archive" and peak < 2**20


def test_names_in_other_encodings_are_kept(tmp_path):
    tar = write_tar(tmp_path / "a.tar", "a/1.png", b"b/\xff.png".decode("utf-8", "surrogateescape"))
    assert set(_problems(tar)) == {"a/1.png", "b/\\xff.png"}
    latin = write_zip(tmp_path / "l.zip", "a/1.png", "bXX/1.png")
    utf8 = write_zip(tmp_path / "u.zip", "a/1.png", "bXX/1.png")
    latin.write_bytes(latin.read_bytes().replace(b"bXX", b"b\x81y"))
    utf8.write_bytes(utf8.read_bytes().replace(b"bXX", "bü".encode()))
    assert _open(latin).labels == ("a", "büy") and _open(utf8).labels == ("a", "bü")
    assert set(_problems(latin).values()) == {None} == set(_problems(utf8).values())


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_what_is_no_archive_is_a_configuration_error(tmp_path, kind):
    (tmp_path / "text").write_text("not an archive" * 100)
    (tmp_path / "empty").touch()
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"not an archive" * 100))
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("text", f"is not a {kind} archive"),
        ("empty", f"is not a {kind} archive"),
        ("text.gz", f"is not a {kind} archive"),
        ("absent", "does not exist"),
        ("pipe", "is not a file"),
        ("", "is not a file"),
        ("x" * 300, "does not exist"),
    ):
        with pytest.raises(ConfigError, match=words):
            open_source(DataConfig(source=f"{kind}:{tmp_path}/{name}"))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_empty_archive_and_one_class_are_refused(tmp_path, kind):
    with pytest.raises(DataRefused, match="No images in"):
        _open(_write(tmp_path / f"empty.{kind}"))
    with pytest.raises(DataRefused, match=r"Only one class \('a'\)"):
        _open(_write(tmp_path / f"one.{kind}", "a/1.png"))


def test_the_fingerprint_of_an_archive_follows_its_bytes(tmp_path):
    path = write_tar(tmp_path / "a.tar", "a/1.png", "b/2.png")
    before = _open(path).fingerprint()
    os.utime(path, (0, 0))
    assert _open(path).fingerprint() == before
    assert _open(write_tar(path, "a/1.png", "b/3.png")).fingerprint() != before


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_an_archive_can_be_run_with_an_inferred_configuration(tmp_path, kind):
    members = [
        (f"w/{label}/{number}.png", encode(Image.new("L", (40, 50), number), "PNG"))
        for label in "ab"
        for number in range(3)
    ]
    path = tmp_path / f"My faces.{kind}"
    if kind == "tar.gz":
        plain = write_tar(tmp_path / "a.tar", *members)
        path.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        _write(path, *members, ("w/b/webp.png", b"RIFF    WEBPtorn"))
    kind = kind[:3]
    config = configure(f"{kind}:{path}", {"train.epochs": "2"})
    assert config.name == "My-faces" and config.data.source == f"{kind}:{path}"
    assert (config.image.height, config.image.width, config.image.channels) == (40, 40, 1)


@pytest.mark.skipif(not SMILES.is_file(), reason=f"no {SMILES}")
def test_smiles_is_read_completely_and_nothing_appears_beside_it():
    beside = sorted(SMILES.parent.iterdir())
    source = open_source(DataConfig(source=f"tar:{SMILES}"))
    assert source.labels == ("not_smiling", "smiling") and source.counts() == [9475, 3690]
    assert not source.splits and not source.ignored
    images = [raw for chunk in source.chunks() for raw in source.read(chunk, 10**6)]
    assert len(images) == len({raw.name for raw in images}) == 13_165
    assert all(raw.data.startswith(b"\xff\xd8\xff") and not raw.problem for raw in images)
    with tarfile.open(SMILES) as archive:
        last = archive.extractfile(images[-1].name).read()
    assert images[-1].data == last
    assert sorted(SMILES.parent.iterdir()) == beside
