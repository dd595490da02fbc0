"""Checkpoints are whole or passed over, and belong to one training."""

import errno
import os

import numpy as np
import pytest

from components.training.checkpoint import Checkpoints
from components.training.config import TrainConfig
from components.training.progress import Progress
from components.training.schedule import Schedule
from components.training.training_record import TrainingRecord

ARRAYS = {
    "kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "steps": np.array(7),
    "average/seen": np.array(3, np.int64),
}


def save_three(tmp_path) -> tuple[Checkpoints, list]:
    checkpoints = Checkpoints(tmp_path / "checkpoints", "mine")
    return checkpoints, [checkpoints.save(n, {"x": np.full(3, n)}, {"at": n}) for n in (1, 2, 3)]


def test_arrays_and_state_come_back_with_their_shapes_and_types(tmp_path):
    checkpoints = Checkpoints(tmp_path, "mine")
    checkpoints.save(5, ARRAYS, {"epoch": 2, "best": None})
    found = Checkpoints(tmp_path, "mine").latest()
    assert found.state == {"epoch": 2, "best": None}
    assert found.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found.arrays[name].shape, found.arrays[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(found.arrays[name], array)


def test_there_is_none_in_an_empty_or_missing_directory(tmp_path):
    assert Checkpoints(tmp_path, "mine").latest() is None
    missing = Checkpoints(tmp_path / "missing", "mine")
    assert missing.latest() is None
    missing.clear()


def test_the_last_two_are_kept(tmp_path):
    checkpoints, paths = save_three(tmp_path)
    assert sorted(checkpoints.directory.iterdir()) == paths[1:]
    checkpoints.clear()
    assert not checkpoints.directory.exists()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def alter(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, alter, empty])
def test_a_damaged_one_is_named_and_the_one_before_it_used(tmp_path, damage):
    checkpoints, paths = save_three(tmp_path)
    damage(paths[2])
    assert checkpoints.latest().state == {"at": 2}
    assert checkpoints.damaged == [paths[2]]
    assert Checkpoints(checkpoints.directory, "mine").latest().state == {"at": 2}
    damage(paths[1])
    assert Checkpoints(checkpoints.directory, "mine").latest() is None


def test_those_of_another_training_are_passed_over_and_make_way(tmp_path):
    checkpoints, paths = save_three(tmp_path)
    other = Checkpoints(checkpoints.directory, "other")
    assert other.latest() is None
    assert other.damaged == []
    assert checkpoints.latest().state == {"at": 3}
    first = other.save(1, {"x": np.zeros(3)}, {"at": 1})
    assert list(checkpoints.directory.iterdir()) == [first]


def test_what_a_killed_writer_left_is_ignored_and_goes_away(tmp_path):
    checkpoints, paths = save_three(tmp_path)
    begun = checkpoints.directory / f".0123abcd.{paths[2].name}"
    begun.write_bytes(b"begun")
    assert checkpoints.latest().state == {"at": 3}
    for path in paths[1:]:
        path.unlink()
    assert checkpoints.latest() is None and checkpoints.damaged == []
    checkpoints.save(4, {"x": np.zeros(3)}, {})
    assert not begun.exists()


def test_a_damaged_one_is_none_of_the_two_that_are_kept(tmp_path):
    checkpoints, paths = save_three(tmp_path)
    empty(paths[2])
    newest = checkpoints.save(4, {"x": np.zeros(3)}, {"at": 4})
    assert sorted(checkpoints.directory.iterdir()) == [paths[1], newest]


def test_files_of_others_are_never_removed(tmp_path):
    checkpoints, _ = save_three(tmp_path)
    precious = [checkpoints.directory / name for name in ("thesis.tex", "model.safetensors", ".x")]
    for path in precious:
        path.write_text("precious")
    (checkpoints.directory / "folder").mkdir()
    checkpoints.save(4, {"x": np.zeros(3)}, {})
    checkpoints.clear()
    assert sorted(checkpoints.directory.iterdir()) == sorted(
        [*precious, checkpoints.directory / "folder"]
    )


class Weights:
    """Learns by counting."""

    def __init__(self):
        self.value = self.momentum = np.zeros(2)

    def arrays(self):
        return {"value": self.value, "optimizer/momentum": self.momentum}

    def restore(self, arrays, steps):
        self.value = arrays["value"]

    def not_finite(self):
        return [] if np.isfinite(self.value).all() else ["value"]


def progress(tmp_path, config: TrainConfig, seconds: float, lines: list | None = None):
    """The beginning of a training of four steps an epoch, its learner and its checkpoints."""
    record = TrainingRecord("torch", "cpu", 2, config, tmp_path / "run", None)
    if lines is not None:
        record.say = lines.append
    learner, checkpoints = Weights(), Checkpoints(tmp_path / "checkpoints", "mine")
    schedule = Schedule(config, 4 * config.epochs)
    return Progress(learner, record, schedule, checkpoints, 4, seconds), learner, checkpoints


def test_a_training_goes_on_at_the_step_its_last_checkpoint_was_written(tmp_path):
    config, lines = TrainConfig(epochs=3), []
    begun, learner, checkpoints = progress(tmp_path, config, seconds=0)
    for _ in range(3):
        learner.value = learner.value + 1
        begun.step_done()
    begun.best = {"value": np.ones(2)}
    resumed, learner, checkpoints = progress(tmp_path, config, 0, lines)
    resumed.resume()
    assert (resumed.epoch, resumed.step, resumed.total) == (1, 3, 3)
    assert learner.value.tolist() == [3, 3]
    resumed.best = {"value": np.ones(2)}
    resumed.step_done()
    before_validation = set(checkpoints.directory.iterdir())
    resumed.epoch_done(0.5)
    assert max(checkpoints.directory.iterdir()) not in before_validation
    again, learner, _ = progress(tmp_path, config, 0, lines)
    again.resume()
    assert (again.epoch, again.step, again.total) == (2, 0, 4)
    assert again.best["value"].tolist() == [1, 1]
    assert lines == [
        "resumed after 0 epochs and 3 of 4 steps",
        "resumed after 1 epochs and 0 of 4 steps",
    ]


def test_between_two_checkpoints_their_interval_passes(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("components.training.progress.time.monotonic", lambda: clock[0])
    begun, _, checkpoints = progress(tmp_path, TrainConfig(epochs=3), seconds=30)
    for clock[0] in (10.0, 29.9):
        begun.step_done()
    assert checkpoints.latest() is None
    clock[0] = 30.0
    begun.step_done()
    assert checkpoints.latest().state["step"] == 3


def test_weights_that_are_not_finite_do_not_replace_the_last_good_ones(tmp_path):
    begun, learner, checkpoints = progress(tmp_path, TrainConfig(epochs=3), seconds=0)
    begun.step_done()
    learner.value = np.array([1, np.nan])
    begun.step_done()
    begun.step_done()
    found = checkpoints.latest()
    assert found.state["step"] == 1
    assert found.arrays["value"].tolist() == [0, 0]


def test_neither_does_an_optimiser_s_state_that_is_not_finite(tmp_path):
    begun, learner, checkpoints = progress(tmp_path, TrainConfig(epochs=3), seconds=0)
    begun.step_done()
    learner.momentum = np.array([0, np.inf])
    begun.step_done()
    assert checkpoints.latest().state["step"] == 1


def test_a_checkpoint_that_cannot_be_written_is_told_and_training_goes_on(tmp_path, monkeypatch):
    lines = []
    begun, _, checkpoints = progress(tmp_path, TrainConfig(epochs=3), 0, lines)
    begun.step_done()
    (kept,) = checkpoints.directory.iterdir()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("components.base.atomic.os.fsync", full)
        begun.step_done()
    assert lines == [
        f"no checkpoint could be written to {checkpoints.directory} (No space left on device): "
        "make room there; training goes on, and tries again"
    ]
    assert list(checkpoints.directory.iterdir()) == [kept]
    begun.step_done()
    assert checkpoints.latest().state["step"] == 3


def test_damage_is_told_in_one_line(tmp_path):
    config, lines = TrainConfig(epochs=3), []
    begun, _, checkpoints = progress(tmp_path, config, 0)
    begun.step_done()
    begun.step_done()
    (newest, oldest) = sorted(checkpoints.directory.iterdir(), reverse=True)
    truncate(newest)
    progress(tmp_path, config, 0, lines)[0].resume()
    assert lines == [
        f"checkpoint {newest.name} is damaged; the one before it is used",
        "resumed after 0 epochs and 1 of 4 steps",
    ]
    truncate(oldest)
    progress(tmp_path, config, 0, lines)[0].resume()
    assert lines[2:] == [f"checkpoint {oldest.name} is damaged; training starts anew"]


def test_the_schedule_goes_on_where_it_was(tmp_path):
    config = TrainConfig(epochs=9, schedule="plateau", plateau=2, early_stopping=4)
    begun, _, _ = progress(tmp_path, config, 0)
    for val_loss in (0.5, 0.6, 0.7, 0.8):
        begun.epoch_done(val_loss)
    resumed, _, _ = progress(tmp_path, config, 0)
    resumed.resume()
    assert resumed._schedule.state == begun._schedule.state
    assert resumed._schedule.rate(0) == config.learning_rate / 2
    assert not resumed.stopped
    resumed.epoch_done(0.9)
    assert resumed.stopped
    again, _, _ = progress(tmp_path, config, 0)
    again.resume()
    assert again.stopped
