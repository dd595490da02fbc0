"""What both trainers share: arguments and exit codes, the plan, the order of batches."""

import json

import numpy as np
import pytest

from components.augmentation import plan as plans
from components.augmentation.policy import Flip
from components.base import commands
from components.data.arrays import ImageArrays
from components.training import arguments as training
from components.training import hardware, recipe
from components.training.config import TrainConfig
from components.training.training_record import TrainingError, TrainingRecord, time_left
from tests.helpers.training_data import write_arrays, write_plan, write_train_arguments


def command(path, function=lambda args: None) -> int:
    return commands.command("components.train_x", training.TrainArgs, function, [str(path)])


def test_arguments_are_read_from_json(tmp_path):
    found = []
    assert command(write_train_arguments(tmp_path, "a", epochs=7), found.append) == 0
    assert found[0].train.epochs == 7
    assert found[0].model_dir == tmp_path / "a/model"


def test_a_wrong_command_line_is_exit_code_2_and_one_sentence(tmp_path, capfd):
    assert commands.command("components.train_x", training.TrainArgs, print, []) == 2
    assert command(tmp_path / "absent.json") == 2
    path = write_train_arguments(tmp_path, "a", epochs=0)
    assert command(path) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0] == "train_x: usage: python -m components.train_x ARGS.json (0 arguments given)."
    assert "absent.json: No such file" in lines[1]
    assert "train.epochs: Input should be greater than or equal to 1 (got 0)" in lines[2]
    assert path.with_suffix(".error").read_text() in lines[2]


def test_an_expected_error_is_exit_code_1_and_one_sentence(tmp_path, capfd):
    def fail(_):
        raise TrainingError("the loss is nan,\n  expected a finite number.")

    assert command(write_train_arguments(tmp_path, "a"), fail) == 1
    assert capfd.readouterr().err == "train_x: the loss is nan, expected a finite number.\n"


def test_an_unexpected_error_leaves_its_stack_for_the_log(tmp_path, capfd):
    assert command(write_train_arguments(tmp_path, "a"), lambda _: {}["x"]) == 1
    errors = capfd.readouterr().err
    assert "Traceback" in errors
    assert errors.endswith("train_x: KeyError: 'x'\n")


def test_every_epoch_sees_each_row_once_in_an_order_of_its_own():
    index = np.array([5, 5, 9, 1, 2, 3, 4])
    epochs = [recipe.shuffled(index, 0, epoch) for epoch in (1, 2)]
    for order in epochs:
        np.testing.assert_array_equal(np.sort(order), np.sort(index))
    assert not np.array_equal(*epochs)


def test_an_epochs_order_follows_from_seed_and_epoch_alone():
    first, again, other = (recipe.shuffled(np.arange(50), seed, 4) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_last_batch_is_left_out_where_a_device_would_get_fewer_than_two_images_of_it():
    two = TrainConfig(epochs=1, batch_size=4, devices=2)
    assert [recipe.step_count(rows, two) for rows in (2, 4, 5, 6, 7, 8)] == [1, 1, 1, 1, 1, 2]
    one = TrainConfig(epochs=1, batch_size=4)
    assert [recipe.step_count(rows, one) for rows in (1, 3, 4, 5, 6)] == [1, 1, 1, 1, 2]
    with pytest.raises(ValueError, match="1 images to train on with train.devices 2"):
        recipe.step_count(1, two)


def test_every_step_and_device_draws_numbers_of_its_own():
    places = [(s, e, n, p) for s in (0, 1) for e in (1, 2) for n in (0, 1) for p in (0, 1)]
    assert len({recipe.step_seed(*place) for place in places}) == len(places)
    assert recipe.step_seed(0, 1, 2, 3) == recipe.step_seed(0, 1, 2, 3)


def test_an_average_of_weights_forgets_the_first_ones_and_then_keeps_its_share():
    kept = [recipe.averaging_at(0.99, n) for n in range(1, 2000)]
    assert kept[0] == pytest.approx(2 / 11)
    assert kept == sorted(kept)
    assert kept[-1] == 0.99


@pytest.mark.parametrize("size, smaller", [(512, 256), (500, 256), (3, 2), (2, 1)])
def test_too_large_a_batch_leads_to_the_next_smaller_power_of_two(size, smaller):
    message = str(hardware.too_large(TrainConfig(epochs=1, batch_size=size)))
    assert f"train.batch_size {size}" in message
    assert message.endswith(f"try train.batch_size={smaller}.")
    assert "use a smaller network" in str(hardware.too_large(TrainConfig(epochs=1, batch_size=1)))


def test_the_plan_is_read_and_checked(tmp_path):
    plan = write_plan(tmp_path / "plan", rows=4)
    (plan / "policy.json").write_text(json.dumps({"keras": [{"kind": "flip"}], "torch": "x"}))
    assert plans.read_policy(plan, "keras") == (Flip(),)
    np.testing.assert_array_equal(plans.read_index(plan, 4), [3, 2, 1, 0])
    with pytest.raises(ValueError, match="no valid policy for torch"):
        plans.read_policy(plan, "torch")
    with pytest.raises(ValueError, match="expected at least one row number from 0 to 2"):
        plans.read_index(plan, 3)
    with pytest.raises(ValueError, match="run the augment step"):
        plans.read_index(tmp_path, 3)
    np.testing.assert_array_equal(plans.read_class_weights(plan, 10), np.ones(10))
    with pytest.raises(ValueError, match="expected a positive weight for each of 9 classes"):
        plans.read_class_weights(plan, 9)
    with pytest.raises(ValueError, match="run the augment step"):
        plans.read_class_weights(tmp_path, 10)


def test_an_unknown_architecture_is_refused_with_the_known_names(tmp_path):
    path = write_train_arguments(tmp_path, "a")
    args = training.TrainArgs.model_validate_json(path.read_text())
    args = args.model_copy(update={"architecture": "vgg"})
    arrays = training.ImageArrays(args.arrays)
    with pytest.raises(ValueError, match="'vgg', expected one of .*digits, .*or module:function"):
        training.network_for(args, arrays, "keras")


def test_a_checkpoint_belongs_to_its_data_recipe_and_code_alone(tmp_path):
    def identity(framework: str = "torch", code: str = "", **train) -> str:
        path = write_train_arguments(tmp_path, "a", **train)
        args = training.TrainArgs.model_validate_json(path.read_text())
        args, arrays = args.model_copy(update={"code": code}), training.ImageArrays(args.arrays)
        return training.identity(args, training.network_for(args, arrays, framework), arrays)

    own = identity()
    assert identity(checkpoint_seconds=0) == own
    others = [identity("keras"), identity(code="edited"), identity(seed=1), identity(epochs=4)]
    np.save(tmp_path / "plan/index.npy", np.arange(400))
    others.append(identity())
    images = tmp_path / "arrays/train/images-00000.npy"
    np.save(images, np.load(images))
    others.append(identity())
    assert len({own, *others}) == 7


class Scalars(dict):
    """Collects what a record sends to TensorBoard."""

    def add_scalar(self, tag, value, step):
        self[tag, step] = value

    def close(self):
        self["closed"] = True


def record(tmp_path, writer) -> TrainingRecord:
    return TrainingRecord("torch", "cpu, 1 threads", 1234, TrainConfig(epochs=2), tmp_path, writer)


def test_a_record_weighs_batches_by_their_images_and_keeps_the_best_epoch(tmp_path, capfd):
    writer = Scalars()
    with record(tmp_path, writer) as following:
        following.start_epoch(1, 2)
        following.step(3, loss=1.0, accuracy=1.0, learning_rate=0.1)
        following.step(1, loss=5.0, accuracy=0.0, learning_rate=0.1)
        assert following.end_epoch(0.5, 0.75, learning_rate=0.1, not_finite=[])
        following.start_epoch(2, 1)
        following.step(3, loss=1.0, accuracy=1.0, learning_rate=0.1)
        assert not following.end_epoch(0.6, 1.0, learning_rate=0.1, not_finite=[])
        result = following.finish()
    history = json.loads((tmp_path / "history.json").read_text())
    assert history[0]["loss"] == 2.0
    assert history[0]["accuracy"] == 0.75
    assert result == json.loads((tmp_path / "result.json").read_text())
    assert (result["best_epoch"], result["epochs"], result["val_accuracy"]) == (1, 2, 0.75)
    assert writer["val_loss", 2] == 0.6
    assert writer["closed"]
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].strip() == "torch on cpu, 1 threads, 1,234 parameters"
    assert [line.split("  ")[2] for line in lines[1:3]] == ["epoch 1/2", "epoch 2/2"]
    assert "best is epoch 1 with val_accuracy 0.750" in lines[3]


def test_a_resumed_record_goes_on_in_another_directory_with_all_epochs(tmp_path):
    with record(tmp_path / "a", Scalars()) as before:
        before.start_epoch(1, 1)
        before.step(3, loss=1.0, accuracy=1.0, learning_rate=0.1)
        before.end_epoch(0.5, 0.75, learning_rate=0.1, not_finite=[])
        before.start_epoch(2, 2)
        before.step(1, loss=4.0, accuracy=0.0, learning_rate=0.1)
        state = json.loads(json.dumps(before.state()))
    writer = Scalars()
    with record(tmp_path / "b", writer) as after:
        after.restore(state)
        after.start_epoch(2, 2, done=1)
        after.step(3, loss=2.0, accuracy=1.0, learning_rate=0.1)
        after.end_epoch(0.4, 0.5, learning_rate=0.1, not_finite=[])
        assert after.finish()["best_epoch"] == 2
    first, second = json.loads((tmp_path / "b/history.json").read_text())
    assert (first["loss"], second["loss"], second["accuracy"]) == (1.0, 2.5, 0.75)
    assert (writer["val_loss", 1], writer["val_loss", 2]) == (0.5, 0.4)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_training_and_names_the_step(tmp_path, loss):
    with record(tmp_path, Scalars()) as following:
        following.start_epoch(1, 2)
        following.step(3, loss=1.0, accuracy=1.0, learning_rate=0.1)
        with pytest.raises(TrainingError, match=f"loss at step 2 of epoch 1 is {loss}"):
            following.step(3, loss=loss, accuracy=1.0, learning_rate=0.1)


def test_weights_that_are_not_finite_stop_training_though_the_loss_is(tmp_path):
    with record(tmp_path, Scalars()) as following:
        following.start_epoch(1, 1)
        following.step(3, loss=1.0, accuracy=1.0, learning_rate=0.1)
        with pytest.raises(TrainingError, match="the weight 00_conv/kernel at the end of epoch 1"):
            following.end_epoch(1.0, 0.5, learning_rate=0.1, not_finite=["00_conv/kernel"])
    assert not (tmp_path / "history.json").exists()


def test_a_loss_that_does_not_fit_the_network_is_refused_before_training(tmp_path):
    arrays = ImageArrays(write_arrays(tmp_path / "arrays", train=20, held_out=10))
    values = json.loads(write_train_arguments(tmp_path, "a", loss="nll").read_text())
    arguments = training.TrainArgs.model_validate(values)
    with pytest.raises(ValueError, match="'nll' does not fit .* expected 'cross_entropy'"):
        training.network_for(arguments, arrays, "torch")


@pytest.mark.parametrize(
    "seconds, done, words",
    [
        (60, 1, "about 9 min left"),
        (8, 1, "about 70 s left"),
        (3, 1, ""),
        (1000, 9, "about 2 min left"),
        (3600, 1, "about 9.0 h left"),
        (100, 10, ""),
    ],
)
def test_the_time_left_is_told_where_it_is_long(seconds, done, words):
    assert time_left(seconds, done, 10) == words
