"""Files of cached outputs that were damaged are noticed, those that only moved are not."""

import os
import shutil
from pathlib import Path

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.line import damage, leftovers


@pytest.fixture
def output(tmp_path) -> Path:
    directory = tmp_path / "artifacts/train_keras/model/7"
    (directory / "variables").mkdir(parents=True)
    (directory / "model.keras").write_bytes(b"weights" * 100)
    (directory / "variables/index").write_bytes(b"index")
    damage.record(directory)
    return directory


def _store(tmp_path: Path) -> MetadataStore:
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return MetadataStore(config)


def _publish(store: MetadataStore, *directories: Path) -> None:
    kind = store.put_artifact_type(mlmd.ArtifactType(name="Model"))
    live = mlmd.Artifact.LIVE
    store.put_artifacts([mlmd.Artifact(type_id=kind, uri=str(d), state=live) for d in directories])


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _rewrite(path: Path) -> None:
    time = path.stat().st_mtime_ns + 10**9
    path.write_bytes(bytes(len(path.read_bytes())))
    os.utime(path, ns=(time, time))


@pytest.mark.parametrize(
    "change, words",
    [
        (_truncate, "model.keras is truncated: 699 of 700 bytes"),
        (Path.unlink, "model.keras is missing"),
        (_rewrite, "model.keras was changed"),
        (lambda path: path.write_bytes(bytes(800)), "model.keras has grown from 700 to 800 bytes"),
    ],
)
def test_damage_is_named(output, change, words):
    assert damage.damage(output) is None
    change(output / "model.keras")
    assert damage.damage(output) == words


def test_what_was_copied_or_touched_or_added_is_no_damage(output, tmp_path):
    (output / "preview.png").write_bytes(b"drawn later")
    (output / "model.keras").touch()
    shutil.copytree(tmp_path / "artifacts", tmp_path / "moved/artifacts")
    assert damage.damage(output) is None
    assert damage.damage(tmp_path / "moved/artifacts/train_keras/model/7") is None


def test_a_damaged_output_leaves_cache_and_disk_and_the_reason_is_kept(output, tmp_path):
    whole = output.parent / "8"
    shutil.copytree(output, whole)
    store = _store(tmp_path)
    _publish(store, output, whole, tmp_path / "elsewhere")
    assert damage.discard_damaged(store, tmp_path / "artifacts") == {}
    (whole / "variables/index").unlink()  # it had no listing before, and has one now
    _truncate(output / "model.keras")
    found = damage.discard_damaged(store, tmp_path / "artifacts")
    assert list(found) == ["train_keras"]
    assert "its output model was damaged (" in found["train_keras"]
    assert [Path(a.uri).name for a in leftovers.live(store)] == ["elsewhere"]
    assert not list(output.parent.iterdir())
    assert not list(tmp_path.glob("artifacts/train_keras/.listings/model/*"))


def test_what_a_killed_run_left_is_cleared_and_what_is_published_stays(output, tmp_path):
    store = _store(tmp_path)
    _publish(store, output)
    kind = store.put_execution_type(mlmd.ExecutionType(name="Train"))
    state = mlmd.Execution
    states = (state.COMPLETE, state.RUNNING, state.CACHED, state.NEW, state.FAILED)
    ids = store.put_executions([state(type_id=kind, last_known_state=s) for s in states])
    node = output.parent.parent
    for left in ("model/9", ".system/executor_execution/9/.temp", ".system/stateful_working_dir/a"):
        (node / left).mkdir(parents=True)
    (node / ".listings/model/9.json").write_text("{}")
    leftovers.clear(store, tmp_path / "artifacts")
    after = {e.id: e.last_known_state for e in store.get_executions()}
    assert [after[i] for i in ids] == [
        state.COMPLETE, state.FAILED, state.CACHED, state.FAILED, state.FAILED,
    ]  # fmt: skip
    assert [path.name for path in output.parent.iterdir()] == ["7"]
    assert damage.damage(output) is None
    left = {path.name for path in (node / ".system").glob("*/**")}
    assert left == {"executor_execution", "stateful_working_dir"}
    assert [path.name for path in node.glob(".listings/model/*")] == ["7.json"]
