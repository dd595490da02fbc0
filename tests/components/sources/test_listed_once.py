"""A folder is listed once for a command, and read again only where something was written to it."""

import os
import shutil

import pytest

from components.sources import folder_source
from components.sources.config import DataConfig
from components.sources.open_source import listed_once, open_source
from pipeline.configuration.configure import configure
from tests.helpers.images import write_class_folders


@pytest.fixture
def folder(tmp_path):
    return write_class_folders(tmp_path / "photos", per_class=3)


@pytest.fixture
def listings(monkeypatch):
    """How often a folder was walked."""
    found, walk = [], folder_source._walk

    def counting(root, folders):
        found.append(root)
        return walk(root, folders)

    monkeypatch.setattr(folder_source, "_walk", counting)
    return found


def test_a_commands_configuration_run_and_ingest_share_one_listing(folder, listings):
    with listed_once():
        config = configure(f"folder:{folder}", {})
        source = open_source(config.data)
        assert source is open_source(config.data)
        assert open_source(config.data, anew=True) is not source
    assert len(listings) == 2  # the second was asked for
    with listed_once():
        assert open_source(config.data) is not source


def test_without_a_command_around_it_every_opening_lists(folder, listings):
    config = DataConfig(source=f"folder:{folder}")
    assert open_source(config) is not open_source(config)
    assert len(listings) == 2


def _renamed(folder):
    file = next(folder.rglob("*.png"))
    file.rename(file.with_name("other.png"))


def _rewritten(folder):
    file = next(folder.rglob("*.png"))
    content, times = file.read_bytes(), file.stat()
    file.write_bytes(content[:-1] + b"x")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a copy tool would


def _added(folder):
    file = next(folder.rglob("*.png"))
    shutil.copy(file, file.with_name("new.png"))


def _removed(folder):
    next(folder.rglob("*.png")).unlink()


@pytest.mark.parametrize("change", [_renamed, _rewritten, _added, _removed])
def test_whatever_is_done_to_a_file_is_noticed_without_reading(folder, change):
    source = open_source(DataConfig(source=f"folder:{folder}"))
    found = source.fingerprint()
    assert source.still(found) and not source.still("another")
    other = open_source(DataConfig(source=f"folder:{folder}"))
    assert not other.still(found)  # it has not read anything itself
    change(folder)
    assert not source.still(found)


def test_a_hidden_file_beside_the_images_changes_no_fingerprint(folder):
    config = DataConfig(source=f"folder:{folder}")
    source = open_source(config)
    before = source.fingerprint()
    next(folder.rglob("*.png")).with_name(".DS_Store").write_text("x")
    assert not source.still(before)
    assert open_source(config, anew=True).fingerprint() == before


@pytest.mark.parametrize("change", [_renamed, _rewritten, _added, _removed])
def test_what_is_done_between_listing_and_reading_is_noticed_too(folder, change):
    source = open_source(DataConfig(source=f"folder:{folder}"))
    change(folder)
    assert not source.still(source.fingerprint())


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_is_told_by_its_own_file(folder, tmp_path, kind):
    archive = shutil.make_archive(str(tmp_path / "photos"), kind, folder)
    source = open_source(DataConfig(source=f"{kind}:{archive}"))
    found = source.fingerprint()
    assert source.still(found)
    with open(archive, "ab") as file:
        file.write(b"\0")
    assert not source.still(found)
