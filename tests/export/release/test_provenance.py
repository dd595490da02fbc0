"""A manifest says which code made the release, or that it is not known."""

import hashlib
import subprocess

import pytest

from components.base.fingerprint import ROOT
from export.release import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A project of one module, committed."""
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving/module.py").write_text("ONE = 1\n")
    (tmp_path / "requirements.txt").write_text("numpy==2.0.0\n")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "First"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_the_lock_and_the_versions_are_those_of_this_project():
    found = provenance.recorded()
    lock = (ROOT / "requirements.txt").read_bytes()
    assert found["lock_sha256"] == hashlib.sha256(lock).hexdigest()
    assert {"tensorflow", "keras", "torch", "onnx"} <= found["packages"].keys()
    assert len(found["code_sha256"]) == 64 and found["python"].startswith("3.")


def test_the_commit_is_named_and_whether_the_code_differs_from_it(checkout):
    clean = provenance.recorded()
    assert len(clean["git_commit"]) == 40 and clean["git_dirty"] is False
    (checkout / "notes.txt").write_text("is no code")
    assert provenance.recorded() == clean
    (checkout / "serving/new.py").write_text("TWO = 2\n")
    dirty = provenance.recorded()
    assert dirty["git_commit"] == clean["git_commit"] and dirty["git_dirty"] is True
    assert dirty["code_sha256"] != clean["code_sha256"]


def test_without_git_everything_else_is_known(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    found = provenance.recorded()
    assert found["git_commit"] is None and found["git_dirty"] is None
    assert found["lock_sha256"] and found["code_sha256"]


def test_a_users_own_network_is_part_of_the_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own_network.py"
    own.write_text("def build(): ...\n")
    before = provenance.code("own_network:build")
    assert before != provenance.code()
    own.write_text("def build(): return 1\n")
    assert provenance.code("own_network:build") != before
