"""Long proofs, run by `make test-full`: the real data sets, and releases that follow each other."""

import pytest

from serving.store.store import Store
from tests.helpers.command_line import run
from tests.helpers.shared_data import PREPARED, needs_data

pytestmark = pytest.mark.full


@needs_data
def test_mnist_reaches_098_in_both_frameworks_in_two_epochs(tmp_path):
    done, verdict = run(tmp_path / "out", "mnist", f"data.dir={PREPARED}", "train.epochs=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(model["accuracy"] >= 0.98 for model in verdict["models"].values())


@needs_data
def test_cifar10_goes_through_the_line_in_one_epoch(tmp_path):
    arguments = (f"data.dir={PREPARED}", "train.epochs=1", "gates.min_accuracy=0.30")
    done, verdict = run(tmp_path / "out", "cifar10", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(model["accuracy"] > 0.30 for model in verdict["models"].values())
    assert all(model["parameters"] == 158_506 for model in verdict["models"].values())


def test_the_demo_reaches_097_in_both_frameworks(tmp_path):
    done, verdict = run(tmp_path / "out", "digits")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(model["accuracy"] >= 0.97 for model in verdict["models"].values())


def test_a_worse_model_and_a_rolled_back_one_are_refused(tmp_path):
    root = tmp_path / "out"
    better = ("train.epochs=12", "gates.min_accuracy=0.3")
    assert run(root, "digits", "train.epochs=8", "gates.min_accuracy=0.3")[0].returncode == 0
    assert run(root, "digits", *better)[1]["version"] == 2

    done, verdict = run(root, "digits", "train.epochs=1", "gates.min_accuracy=0.3")
    assert done.returncode == 3, done.stdout
    assert "accuracy_against_release" in verdict["sentence"]
    assert "release 2 has" in verdict["sentence"]

    store = Store(root / "serving")
    assert store.rollback("digits").version == 1
    for _ in range(2):
        done, verdict = run(root, "digits", *better)
        assert done.returncode == 3 and "rolled back" in verdict["sentence"], done.stdout
    assert store.current("digits").version == 1 and len(store.releases("digits")) == 2
