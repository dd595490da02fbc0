"""`--sort`: copies that are whole, under names that are free, and nothing else touched."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from serving.predict import sorting
from serving.predict.sorting import JOURNAL, CannotSort, Sorted, folder_names, unsure_folder
from serving.store.store import Store
from tests.helpers.serving_fixtures import REPOSITORY, digits, digits_release, run

SETTINGS = {"model": "pets", "version": 1}


def contents(folder) -> dict[str, bytes]:
    """What is visible there, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture
def photos(tmp_path):
    """Three files of one name with different contents, and one that is called like a number."""
    for folder, data in (("a", b"1"), ("b", b"22"), ("c", b"333")):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        (tmp_path / "photos" / folder / "img.jpg").write_bytes(data)
    (tmp_path / "photos/img-2.jpg").write_bytes(b"4444")
    return tmp_path / "photos"


PATHS = ("img-2.jpg", "a/img.jpg", "b/img.jpg", "c/img.jpg")
SORTED = {"cat/img-2.jpg": b"4444", "cat/img.jpg": b"1", "cat/img-3.jpg": b"22",
          "cat/img-4.jpg": b"333"}  # fmt: skip


def test_names_that_clash_get_a_number_and_the_sources_stay(photos, tmp_path):
    before = contents(photos)
    os.utime(photos / "a/img.jpg", (10, 20))
    with Sorted(tmp_path / "into", photos, SETTINGS) as into:
        assert [into.copy(path, "cat") for path in PATHS] == list(SORTED)
    assert contents(tmp_path / "into") == SORTED and contents(photos) == before
    assert (tmp_path / "into/cat/img.jpg").stat().st_mtime == 20
    assert sorted(os.listdir(tmp_path / "into")) == [JOURNAL, "cat"]


def test_the_same_sorting_again_copies_only_what_is_new_or_gone_and_replaces_nothing(
    photos, tmp_path
):
    for _ in range(2):
        with Sorted(tmp_path / "into", photos, SETTINGS) as into:
            assert [into.copy(path, "cat") for path in PATHS] == list(SORTED)
    assert contents(tmp_path / "into") == SORTED
    (tmp_path / "into/cat/img.jpg").write_bytes(b"edited by hand")
    (tmp_path / "into/cat/img-3.jpg").unlink()
    (photos / "c/img.jpg").write_bytes(b"another picture")
    with Sorted(tmp_path / "into", photos, SETTINGS) as into:
        copies = [into.copy(path, "cat") for path in PATHS]
    assert copies == ["cat/img-2.jpg", "cat/img-5.jpg", "cat/img-3.jpg", "cat/img-6.jpg"]
    assert contents(tmp_path / "into") == SORTED | {
        "cat/img.jpg": b"edited by hand",
        "cat/img-5.jpg": b"1",
        "cat/img-6.jpg": b"another picture",
    }


def test_a_long_name_makes_room_for_its_number(photos, tmp_path):
    name = "ä" * 125 + ".jpeg"
    for folder in "ab":
        (photos / folder / name).write_bytes(folder.encode())
    with Sorted(tmp_path / "into", photos, SETTINGS) as into:
        first, second = (into.copy(f"{folder}/{name}", "cat") for folder in "ab")
    assert first == f"cat/{name}" and second == f"cat/{'ä' * 124}-2.jpeg"


@pytest.mark.parametrize("place", ["photos", "photos/sorted", ".", "link/sorted"])
def test_a_folder_within_the_other_is_refused(photos, tmp_path, place):
    (tmp_path / "link").symlink_to(photos)
    with pytest.raises(CannotSort, match="lie within each other: expected a folder beside"):
        Sorted(tmp_path / place, photos, SETTINGS)


def test_a_folder_that_holds_other_things_is_refused_and_left_as_it_is(photos, tmp_path):
    into = tmp_path / "into"
    into.mkdir()
    (into / "mine.txt").write_text("mine")
    for journal in (None, "", "[]\n", "torn"):
        if journal is not None:
            (into / JOURNAL).write_text(journal)
        with pytest.raises(CannotSort, match="is not empty, and not an earlier output"):
            Sorted(into, photos, SETTINGS)
    assert (into / "mine.txt").read_text() == "mine"
    with pytest.raises(CannotSort, match="is not a folder"):
        Sorted(into / "mine.txt", photos, SETTINGS)


def test_the_output_of_another_model_is_no_earlier_output(photos, tmp_path):
    with Sorted(tmp_path / "into", photos, SETTINGS) as into:
        into.copy("a/img.jpg", "cat")
    with pytest.raises(CannotSort, match="sorted with another version: expected a new or an empty"):
        Sorted(tmp_path / "into", photos, SETTINGS | {"version": 2})


def test_two_do_not_sort_into_one_folder_at_once(photos, tmp_path):
    with Sorted(tmp_path / "into", photos, SETTINGS):
        with pytest.raises(CannotSort, match="another process is sorting"):
            Sorted(tmp_path / "into", photos, SETTINGS).__enter__()


def test_a_label_folder_that_is_a_link_is_not_followed(photos, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    with Sorted(tmp_path / "into", photos, SETTINGS) as into:
        (tmp_path / "into/cat").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(NotADirectoryError):
            into.copy("a/img.jpg", "cat")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_copy_that_failed_leaves_nothing(photos, tmp_path, monkeypatch):
    def half(original, copy, _):
        copy.write(b"1")
        raise OSError(28, "No space left on device")

    with Sorted(tmp_path / "into", photos, SETTINGS) as into:
        with monkeypatch.context() as patch:
            patch.setattr(sorting.shutil, "copyfileobj", half)
            with pytest.raises(OSError, match="No space left"):
                into.copy("b/img.jpg", "cat")
        assert sorted(os.listdir(tmp_path / "into")) == [JOURNAL, "cat"]
        assert into.copy("b/img.jpg", "cat") == "cat/img.jpg"


def test_without_hard_links_a_name_that_is_taken_stays_what_it_was(photos, tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sorting.os, "link", no_links)
    with Sorted(tmp_path / "into", photos, SETTINGS) as into:
        assert [into.copy(path, "cat") for path in PATHS] == list(SORTED)
    assert contents(tmp_path / "into") == SORTED


@given(st.lists(st.text(max_size=12), unique=True, max_size=8))
def test_folders_of_labels_are_names_of_files_and_all_different(labels):
    names = folder_names(labels)
    assert len(set(names.values())) == len(labels)
    for name in names.values():
        assert name and not name.startswith(".") and not set(name) & set("/\\\0\n")
    assert unsure_folder(labels) not in names.values()


def test_plain_labels_are_their_own_folders():
    labels = ["cat", "Hundehütte", "a b", "_unsure", "_Unsure2"]
    assert folder_names(labels) == {label: label for label in labels}
    assert unsure_folder(labels) == "__unsure" and unsure_folder(["cat"]) == "_unsure"
    assert folder_names(["n/a", "..", "100%"]) == {"n/a": "n%2Fa", "..": "%2E.", "100%": "100%25"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    directory = tmp_path_factory.mktemp("line")
    Store(directory / "out/serving").publish("digits", digits_release(directory / "source"))
    return directory / "out"


def write_digits(folder, count) -> None:
    folder.mkdir()
    for number, image in enumerate(digits()[0][:count]):
        Image.fromarray(image[..., 0]).save(folder / f"{number:04d}.png")


def test_the_command_sorts_by_label_and_what_is_unsure_apart(root, tmp_path):
    write_digits(tmp_path / "photos", 60)
    (tmp_path / "photos/notes.txt").write_text("no image")
    command = ("-m", "serving.predict", tmp_path / "photos", "--root", root, "--csv")
    options = ("--sort", tmp_path / "into", "--min-probability", "0.8")
    done = run(*command, tmp_path / "t.csv", *options)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split(",") for line in (tmp_path / "t.csv").read_text().splitlines()[1:]]
    copied = {row[6]: row for row in rows if row[6]}
    assert copied.keys() == contents(tmp_path / "into").keys() and len(copied) == 60
    for path, row in copied.items():
        folder = row[1] if float(row[2]) >= 0.8 else "_unsure"
        assert path == f"{folder}/{row[0]}"
    assert {path.partition("/")[0] for path in copied} > {"_unsure"}
    refused = run(*command, tmp_path / "t.csv", "--sort", tmp_path / "into")
    assert refused.returncode == 2 and "sorted with another min_probability" in refused.stderr


def test_a_folder_that_cannot_be_made_ends_it_before_any_work(root, tmp_path):
    write_digits(tmp_path / "photos", 2)
    (tmp_path / "file").touch()
    into = tmp_path / "file/into"
    done = run("-m", "serving.predict", tmp_path / "photos", "--root", root, "--sort", into)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {into}: Not a directory.\n"


def test_a_sorting_that_is_killed_goes_on_and_every_copy_is_whole_and_there_once(root, tmp_path):
    write_digits(tmp_path / "photos", 1797)
    into = tmp_path / "into"
    command = [sys.executable, "-m", "serving.predict", str(tmp_path / "photos"), "--root",
               str(root), "--csv", str(tmp_path / "t.csv"), "--sort", str(into)]  # fmt: skip
    killed = 0
    for least in (50, 400):
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        while len(contents(into)) < least and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        whole = {path.name: path.read_bytes() for path in (tmp_path / "photos").iterdir()}
        assert all(whole[path.rpartition("/")[2]] == data for path, data in contents(into).items())
        assert not (tmp_path / "t.csv").exists()
    assert killed
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert sorted(path.rpartition("/")[2] for path in contents(into)) == sorted(whole)
    assert not list(into.glob(".tmp-*"))
    first, *lines = (into / JOURNAL).read_text().splitlines()
    assert json.loads(first)["model"] == "digits" and len(lines) >= 1797
