"""The Keras trainer and predictor as commands, where PyTorch is not installed."""

import json
import re
import shutil

import keras
import numpy as np
import pytest

from components.networks import keras_model
from tests.helpers.survival import check_same_record, train_under_fire
from tests.helpers.training_data import (
    check_last_good_checkpoint,
    check_margin_run,
    check_reduced_run,
    check_scalars,
    digit_images,
    run_module,
    run_modules,
    write_margin_arguments,
    write_predict_arguments,
    write_train_arguments,
)
from tests.helpers.warm_modules import run_warm

BLOCKED = ("torch", "tfx")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, the same again in another process, and two that must diverge after it."""
    root = tmp_path_factory.mktemp("keras")
    first = write_train_arguments(root, "first")
    done = run_modules(
        ("components.training.train_keras", first),
        ("components.evaluation.keras_predict", write_predict_arguments(root, "first")),
        without=BLOCKED,
    )
    assert done.stdout.splitlines() == ["exit 0", "exit 0"], done.stderr
    second = write_train_arguments(root, "second")
    bad = write_train_arguments(root, "bad", learning_rate=1e38, checkpoint_seconds=0)
    dead = write_train_arguments(root, "dead", learning_rate=1e30)
    margin = write_margin_arguments(root / "margin")
    reduced = write_train_arguments(root, "reduced", precision="bfloat16")
    again = run_module(
        "components.training.train_keras", second, margin, reduced, dead, bad, without=BLOCKED
    )
    return root, done, again


def read(path):
    return json.loads(path.read_text())


def check_same_weights(root, *names):
    first, second = (keras_model.load(root / name / "model").weights for name in names)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


def test_it_learns_and_records_every_epoch(trained):
    root, done, _ = trained
    history = read(root / "first/run/history.json")
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["val_accuracy"] > 0.5
    rates = [row["learning_rate"] for row in history]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] <= 2e-3
    assert "keras on cpu, 1 threads, float32, 85,450 parameters" in done.stderr
    assert "keras  epoch 3/3" in done.stderr


def test_the_result_names_the_epoch_with_the_lowest_val_loss_and_that_one_is_saved(trained):
    root, _, _ = trained
    result = read(root / "first/run/result.json")
    best = min(read(root / "first/run/history.json"), key=lambda row: row["val_loss"])
    assert result["best_epoch"] == best["epoch"]
    assert result["val_loss"] == best["val_loss"]
    images, labels = digit_images(500)
    model = keras_model.load(root / "first/model")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
        labels[400:], model(images[400:].astype(np.float32))
    )
    assert float(loss) == pytest.approx(best["val_loss"], abs=1e-4)


def test_the_same_seed_gives_the_same_weights(trained):
    root, _, again = trained
    assert again.stdout.splitlines()[0] == "exit 0", again.stderr
    check_same_weights(root, "first", "second")


def test_it_crops_the_margin_weighs_the_loss_and_does_not_augment_copies_again(trained):
    root, _, again = trained
    assert again.stdout.splitlines()[1] == "exit 0", again.stderr
    check_margin_run(root / "margin/margin")


def test_killed_it_ends_as_if_undisturbed(trained, warm_processes):
    """Once here, as each start of TensorFlow takes seconds; 25 times in test_survival."""
    root, _, _ = trained
    path = write_train_arguments(root, "killed", checkpoint_seconds=0)
    train_under_fire("components.training.train_keras", path, [30], seed=0)
    check_same_record(root / "first/run", root / "killed/run")
    check_same_weights(root, "first", "killed")
    # Killed between its end and its publication, it has nothing left to learn.
    shutil.rmtree(root / "killed/model")
    again = run_warm("tensorflow", "components.training.train_keras", path)
    assert "resumed after 3 epochs and 0 of 25 steps" in again.stderr
    check_same_record(root / "first/run", root / "killed/run")
    check_same_weights(root, "first", "killed")


def test_bfloat16_learns_and_its_weights_stay_float32(trained):
    root, _, again = trained
    assert again.stdout.splitlines()[2] == "exit 0", again.stderr
    check_reduced_run(root, "keras", again.stderr)
    for array in keras_model.load(root / "reduced/model").get_weights():
        assert array.dtype == np.float32


def test_divergence_stops_training_names_the_step_and_saves_no_model(trained):
    root, _, again = trained
    assert again.returncode == 1
    sentence = (root / "bad.error").read_text()
    assert "the loss at step" in sentence
    assert "of epoch 1 is" in sentence
    assert "lower train.learning_rate (now 1e+38)" in sentence
    assert sentence in again.stderr
    assert not (root / "bad/model").exists()
    check_last_good_checkpoint(root / "bad/run/checkpoints", sentence)


def test_a_network_of_nan_weights_with_a_finite_loss_is_not_saved(trained):
    root, _, again = trained
    assert again.stdout.splitlines()[3] == "exit 1"
    # Which of the two shows first depends on the processor's arithmetic.
    sentence = (root / "dead.error").read_text()
    assert re.search(
        r"00_conv/kernel at the end of epoch 1 is nan|loss at step \d+ .* nan", sentence
    )
    assert not (root / "dead/model").exists()


def test_tensorboard_reads_a_scalar_for_every_column_of_the_history(trained):
    root, _, _ = trained
    check_scalars(root / "first/run")


def test_predictions_of_each_split_are_probabilities_in_its_order(trained):
    root, _, _ = trained
    found = np.load(root / "first/val.npz")
    assert found["probabilities"].dtype == np.float32
    assert found["probabilities"].shape == (100, 10)
    np.testing.assert_allclose(found["probabilities"].sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found["labels"], digit_images(500)[1][400:])
    accuracy = (found["probabilities"].argmax(1) == found["labels"]).mean()
    assert accuracy == pytest.approx(read(root / "first/run/result.json")["val_accuracy"])
    train = np.load(root / "first/train.npz")
    np.testing.assert_array_equal(train["labels"], digit_images(400)[1])
    assert (train["probabilities"].argmax(1) == train["labels"]).mean() > 0.5
