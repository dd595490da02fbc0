"""The digest of an artifact changes with any byte and any name in it, and with nothing else."""

import hashlib
import shutil

import pytest

from serving.contract import release_files as artifact


@pytest.fixture
def saved_model(tmp_path):
    directory = tmp_path / "saved_model"
    (directory / "variables").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "variables/index").write_bytes(b"index")
    return directory


def test_a_files_digest_is_its_sha256(saved_model):
    path = saved_model / "saved_model.pb"
    assert artifact.sha256(path) == hashlib.sha256(b"graph").hexdigest()
    assert artifact.size(path) == 5


def test_a_copy_of_a_directory_has_the_same_digest_wherever_it_lies(saved_model, tmp_path):
    copy = shutil.copytree(saved_model, tmp_path / "elsewhere/1")
    assert artifact.sha256(copy) == artifact.sha256(saved_model)
    assert artifact.size(copy) == 10


def test_a_byte_a_name_and_a_file_more_or_less_change_a_directorys_digest(saved_model):
    found = {artifact.sha256(saved_model)}
    (saved_model / "variables/index").write_bytes(b"indey")
    found.add(artifact.sha256(saved_model))
    (saved_model / "variables/index").rename(saved_model / "variables/data")
    found.add(artifact.sha256(saved_model))
    (saved_model / "variables/data").rename(saved_model / "data")
    found.add(artifact.sha256(saved_model))
    (saved_model / "data").unlink()
    found.add(artifact.sha256(saved_model))
    (saved_model / "empty").touch()
    found.add(artifact.sha256(saved_model))
    assert len(found) == 6


def test_an_artifact_that_is_not_there_has_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError):
        artifact.sha256(tmp_path / "none")
    assert artifact.size(tmp_path / "none") == 0
