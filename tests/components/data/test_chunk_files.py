"""Chunks travel in files, and nothing is left of them."""

import json

from components.data.chunk_files import ChunkFiles
from components.sources.folder_source import FolderSource
from tests.helpers.images import write_class_folders


def test_a_worker_reads_from_them_what_the_source_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("components.sources.listed_source.CHUNK", 3)
    source = FolderSource(str(write_class_folders(tmp_path / "photos", per_class=4, size=8)))
    source.fingerprint()
    chunks = source.chunks()
    files = ChunkFiles.written(chunks, tmp_path / "chunks")
    assert files.count == len(chunks) > 2
    for number, chunk in enumerate(chunks):
        read = files.read(number)
        assert read == json.loads(json.dumps(chunk))
        assert list(source.read(read, 10**6)) == list(source.read(chunk, 10**6))


def test_they_are_removed_whoever_does_it_first(tmp_path):
    files = ChunkFiles.written([{"start": 0, "stop": 3}], tmp_path / "chunks")
    files.remove()
    files.remove()
    assert list(tmp_path.iterdir()) == []
