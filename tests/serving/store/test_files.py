"""Files are replaced in one step, and not at all where nothing changes."""

import hashlib
import os

import pytest

from serving.store import files


def test_a_text_is_replaced_and_nothing_is_left_over(tmp_path):
    path, scratch = tmp_path / "text", tmp_path / "scratch"
    scratch.mkdir()
    for content in (None, b"old", b"\xff not UTF-8"):
        if content is not None:
            path.write_bytes(content)
        files.replace_text(path, "n\u00e4chste Zeile\n", scratch)
        assert path.read_bytes() == "n\u00e4chste Zeile\n".encode()
        assert not list(scratch.iterdir())
    before = path.stat()
    files.replace_text(path, "n\u00e4chste Zeile\n", scratch)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_link_is_replaced_whatever_was_there(tmp_path):
    path = tmp_path / "current"
    for target in ("1", "2", "1"):
        files.replace_link(path, target, tmp_path)
        assert os.readlink(path) == target
    before = path.lstat().st_ino
    files.replace_link(path, "1", tmp_path)
    assert path.lstat().st_ino == before and list(tmp_path.iterdir()) == [path]


def test_a_temporary_name_is_new_and_recognisable(tmp_path):
    names = {files.temporary_name(tmp_path) for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert name.parent == tmp_path and name.name.startswith(".tmp-") and not name.exists()


def test_a_directory_is_made_with_its_parents_and_may_be_there(tmp_path):
    for path in (tmp_path / "a/b/c", tmp_path / "a/b/d", tmp_path / "a/b/c"):
        files.make_directory(path)
        assert path.is_dir()


def test_a_copy_is_a_file_of_its_own(tmp_path):
    (tmp_path / "source").write_bytes(b"content")
    (tmp_path / "link").symlink_to("source")
    for source in ("source", "link"):
        files.copy_durably(tmp_path / source, tmp_path / "target")
        assert not (tmp_path / "target").is_symlink()
        assert files.sha256(tmp_path / "target") == hashlib.sha256(b"content").hexdigest()
    (tmp_path / "source").write_bytes(b"changed")
    assert (tmp_path / "target").read_bytes() == b"content"


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    first = files.lock_directory(tmp_path)
    assert first is not None and files.lock_directory(tmp_path) is None
    os.close(first)
    second = files.lock_directory(tmp_path)
    assert second is not None
    os.close(second)


def test_only_directories_are_flushed_and_locked_as_such(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for call in (files.sync_directory, files.lock_directory):
        with pytest.raises(NotADirectoryError):
            call(tmp_path / "file")


def test_only_a_plain_file_is_opened_and_nothing_is_waited_for(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    os.link(path, tmp_path / "hard link")
    for name in ("file", "hard link"):
        with files.open_plain(tmp_path / name) as file:
            assert file.read() == b"content"
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "folder", "pipe"):
        with pytest.raises(OSError, match="it is not a plain file") as refused:
            files.open_plain(tmp_path / name)
        assert refused.value.filename == str(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        files.open_plain(tmp_path / "nothing")


def test_what_takes_a_files_place_while_it_is_opened_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"")
    regular = os.lstat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(files.os, "lstat", lambda _: regular)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="it is not a plain file"):
        files.open_plain(path)
    path.unlink()
    path.symlink_to("/dev/null")
    with pytest.raises(OSError):
        files.open_plain(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_more_is_read_than_was_asked_for(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert files.read_plain(path, 5) == b"12345"
    with pytest.raises(OSError, match="it has more than 4 bytes"):
        files.read_plain(path, 4)
