"""An output root is cleaned up, and works on, whatever interrupts that."""

import os
import shutil
import sys

import pytest

from pipeline.configuration.runs import RunsConfig
from pipeline.operation.cleaning import clean, find_waste, freed, remove
from serving.store.release import StoreError
from serving.store.store import Store
from tests.helpers.simulated_line import SimulatedLine, disk


def swept(root, **limits):
    waste = find_waste(root, RunsConfig(**limits))
    remove(root, waste)
    return waste


@pytest.fixture
def line(tmp_path):
    return SimulatedLine(tmp_path / "out")


def runs(line) -> list[str]:
    return sorted(path.name for path in (line.root / "runs").glob("2*"))


def test_what_neither_a_kept_run_nor_the_next_one_needs_goes_and_frees_what_was_said(line):
    ids = [line.run() for _ in range(6)]
    (line.root / "runs/.latest-20260101-000000-000009").symlink_to("nowhere")
    (line.root / "runs" / ids[5] / ".0a1b2c3d.verdict.json").write_text("{")
    whole, before = disk(line.root), disk(line.root / "runs", line.root / "artifacts")
    waste = find_waste(line.root, RunsConfig(keep=3, artifacts=2))
    assert disk(line.root) == whole, "to look removes nothing"
    remove(line.root, waste)
    assert runs(line) == ids[3:] and (line.root / "runs/latest").resolve().name == ids[5]
    assert len(line.artifacts()) == 8
    assert waste.bytes == before - disk(line.root / "runs", line.root / "artifacts") > 500_000
    assert not list(line.root.glob(".[!l]*")) and not list(line.root.rglob(".0a1b2c3d*"))
    assert find_waste(line.root, RunsConfig(keep=3, artifacts=2)).paths == []


def test_the_next_run_takes_over_what_the_last_did(line):
    for _ in range(4):
        line.run()
    line.run(fresh="train_torch")
    swept(line.root, keep=1, artifacts=1)
    assert all(len(line.cached(step)) >= 1 for step in ("ingest", "pack", "train_torch", "push"))
    before = line.artifacts()
    line.run(fresh="push")
    assert len(line.artifacts() - before) == 1


def test_a_step_that_has_failed_since_has_its_last_success_to_go_back_to(line):
    line.run()
    for _ in range(3):
        line.run(stops_at="pack")
    swept(line.root, keep=1, artifacts=1)
    assert (
        len(line.cached("train_torch")) == len(line.cached("push")) == len(line.cached("pack")) == 1
    )


def test_a_training_with_checkpoints_keeps_the_arrays_it_goes_on_with(line):
    line.run(stops_at="train_torch")
    interrupted = line.artifacts()
    line.run()
    checkpoints = line.root / "checkpoints/digits/torch"
    checkpoints.mkdir(parents=True)
    (checkpoints / "0000000001-0.safetensors").touch()
    swept(line.root, keep=1, artifacts=1)
    assert interrupted <= line.artifacts() and any(checkpoints.iterdir())
    (checkpoints / "0000000001-0.safetensors").unlink()
    swept(line.root, keep=1, artifacts=1)
    assert not interrupted & line.artifacts()


@pytest.mark.parametrize(("content", "refused"), [(b"", False), (b"garbage", True)])
def test_a_database_that_cannot_be_read_is_named_and_an_empty_one_knows_nothing(
    line, content, refused
):
    line.run()
    (line.root / "metadata.sqlite").write_bytes(content)
    said = list(clean(line.root, RunsConfig(), "digits", artifacts=True))
    assert bool(said) == refused and len(line.artifacts()) == 4
    if refused:
        assert "metadata.sqlite cannot be read" in said[0]


def test_releases_keep_their_runs_and_the_current_one_its_artifacts(line):
    first, second = line.run(release=True), line.run(release=True)
    made = line.artifacts()
    latest = [line.run() for _ in range(3)][-1]
    swept(line.root, keep=1, artifacts=1)
    assert runs(line) == [first, second, latest]
    assert len(line.artifacts() & made) == 4  # of the second
    Store(line.root / "serving").current("digits").verify()


def test_a_release_that_cannot_be_read_stops_it(line):
    line.run(release=True)
    line.run()
    (line.root / "serving/models/digits/1/manifest.json").write_text("{")
    with pytest.raises(StoreError, match="manifest.json cannot be read"):
        find_waste(line.root, RunsConfig(keep=1))
    (said,) = clean(line.root, RunsConfig(keep=1), "digits", artifacts=True)
    assert said.startswith("older runs could not be cleaned up: ") and len(runs(line)) == 2


def test_a_run_cleans_up_behind_its_own_name_only(line):
    other = SimulatedLine(line.root, "faces")
    for _ in range(3):
        line.run()
        last = other.run()
    assert list(clean(line.root, RunsConfig(keep=1), "faces", artifacts=False)) == []
    assert len(runs(line)) == 4 and runs(line)[-1] == last


def test_artifacts_are_known_wherever_the_root_was_moved(line, tmp_path):
    line.run()
    line.run()
    moved = tmp_path / "elsewhere"
    line.root.rename(moved)
    assert len(swept(moved, artifacts=1).artifacts) == 4
    assert len(SimulatedLine(moved).artifacts()) == 4


def test_a_file_with_two_names_is_freed_with_the_last_of_them(tmp_path):
    for name in ("a", "b", "kept"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/one").write_bytes(bytes(100_000))
    os.link(tmp_path / "a/one", tmp_path / "b/two")
    empty = disk(tmp_path / "kept")
    size = disk(tmp_path / "a") - empty
    assert freed([tmp_path / "a"]) == disk(tmp_path / "kept")
    assert freed([tmp_path / "a", tmp_path / "b"]) == size + 2 * empty
    os.link(tmp_path / "a/one", tmp_path / "kept/three")
    assert freed([tmp_path / "a", tmp_path / "b"]) == 2 * empty


def _swept_until(root, at: int) -> bool:
    """Sweeps in a fork that is killed at the `at`-th change of the disk; whether it was."""
    child = os.fork()
    if not child:
        seen = 0

        def hook(event: str, _: tuple) -> None:
            nonlocal seen
            if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "sqlite3.connect"):
                seen += 1
                if seen == at:
                    os._exit(9)

        sys.addaudithook(hook)
        try:
            swept(root, keep=1, artifacts=1)
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9


def test_ended_at_any_removal_it_leaves_a_root_that_works(tmp_path):
    template = SimulatedLine(tmp_path / "template", kilobytes=1)
    ids = [template.run(release=number == 1) for number in range(3)]
    kills = 0
    root = tmp_path / "out"
    for at in range(1, 500):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template.root, root, symlinks=True)
        if not _swept_until(root, at):
            break
        kills += 1
        left = SimulatedLine(root, kilobytes=1)
        for step in ("ingest", "pack", "train_torch", "push"):
            live = [uri.replace(str(template.root), str(root)) for uri in left.cached(step)]
            assert live and all(os.path.isfile(f"{uri}/data") for uri in live), (at, live)
        assert {ids[1], ids[2]} <= set(runs(left)), at
        for run in runs(left):
            assert (root / "runs" / run / "verdict.json").is_file(), (at, run)
        swept(root, keep=1, artifacts=1)
        assert runs(left) == ids[1:] and len(left.artifacts()) == 8, at
        assert not (root / ".removed").exists(), at
    assert kills > 20


def test_the_disk_holds_little_more_than_what_is_kept_over_a_hundred_runs(tmp_path):
    line = SimulatedLine(tmp_path / "out", kilobytes=400)
    config = RunsConfig(keep=10, artifacts=3)
    worst = 0.0
    for night in range(100):
        if night % 4 == 3:
            line.repeat()
        elif night % 7 == 5:
            line.run(stops_at="train_torch")
        else:
            line.run(fresh="train_torch" if night % 5 == 2 else "ingest", release=night % 10 == 0)
            Store(line.root / "serving").prune("digits", 2)
        assert list(clean(line.root, config, "digits", artifacts=night % 4 != 3)) == []
        if night >= 20:
            kept = disk(*(line.root / part for part in ("runs", "artifacts", "serving")))
            worst = max(worst, disk(line.root) / kept)
    assert worst < 1.2
    assert len(runs(line)) <= 10 + 10 + len(Store(line.root / "serving").releases("digits"))
    assert len(line.artifacts()) <= 4 * 3 + 4 + 4
