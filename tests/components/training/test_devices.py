"""Several devices that share each batch learn what one learns."""

import json
import multiprocessing
import signal
import time

import numpy as np
import psutil
import pytest

from components.base.frameworks import IMPORTED
from components.training.torch_parallel import launch
from components.training.training_record import TrainingError
from tests.helpers import parallel_replicas
from tests.helpers.survival import check_same_record, newest, start
from tests.helpers.training_data import write_train_arguments
from tests.helpers.warm_modules import run_warm

pytestmark = pytest.mark.usefixtures("warm_processes")
RECIPE = {"optimizer": "sgd", "learning_rate": 0.02, "batch_size": 32, "l2": 1e-3, "epochs": 2}
SMALL_AT_FIRST = {"progressive_resizing": 0.5}


def write_plain_arguments(root, name: str, network: str = "plain", **train):
    """A network and a plan without anything random; an epoch's last batch has 30 images: three
    devices have 11, 11 and 10 of a whole batch, and 10 each of that."""
    path = write_train_arguments(root, name, **RECIPE | train)
    values = json.loads(path.read_text()) | {"architecture": f"tests.helpers.recipes:{network}"}
    path.write_text(json.dumps(values))
    np.save(root / "plan/index.npy", np.arange(382))
    (root / "plan/policy.json").write_text(json.dumps({"keras": [], "torch": []}))
    return path


def run(framework: str, *arguments) -> None:
    for path in arguments:
        done = run_warm(IMPORTED[framework], f"components.training.train_{framework}", path)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "framework, optimizer, devices, network",
    [
        ("torch", "sgd", 2, "plain"),
        # Muon in Keras is the one step written without an operation of TensorFlow's for replicas.
        ("keras", "muon", 3, "normalised"),
        pytest.param("keras", "sgd", 2, "plain", marks=pytest.mark.full),
        pytest.param("keras", "adam", 4, "normalised", marks=pytest.mark.full),
        pytest.param("torch", "sgd", 3, "plain", marks=pytest.mark.full),
    ],
)
def test_several_devices_have_the_loss_curve_of_one_with_the_same_batches(
    tmp_path, framework, optimizer, devices, network
):
    recipe = {"optimizer": optimizer, **SMALL_AT_FIRST}
    paths = [
        write_plain_arguments(tmp_path, f"of{n}", network, devices=n, **recipe)
        for n in (1, devices)
    ]
    run(framework, *paths)
    one, several = (
        json.loads((tmp_path / f"of{n}/run/history.json").read_text()) for n in (1, devices)
    )
    assert len(one) == len(several) == 2
    for row, other in zip(one, several):
        for key in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
            assert row[key] == pytest.approx(other[key], abs=1e-4), key
    result = json.loads((tmp_path / f"of{devices}/run/result.json").read_text())
    assert result["device"] == f"{devices} x cpu, 1 threads, float32"


@pytest.mark.parametrize(
    "function, kind, sentence",
    [
        (parallel_replicas.fail, TrainingError, "the second process has no images, expected some."),
        pytest.param(
            parallel_replicas.vanish, TrainingError, "number 1 with exit status 9 ended too early",
            marks=pytest.mark.full,
        ),
        pytest.param(
            parallel_replicas.fail_first, ValueError, "the first process has no images.",
            marks=pytest.mark.full,
        ),
    ],
)  # fmt: skip
def test_one_process_that_fails_ends_all_with_its_sentence(
    tmp_path, capfd, function, kind, sentence
):
    with pytest.raises(kind, match=sentence):
        launch(2, function, tmp_path)
    assert multiprocessing.active_children() == []
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.full
def test_two_processes_resume_after_either_was_killed_and_leave_no_orphans(tmp_path):
    whole = write_plain_arguments(tmp_path, "whole", devices=2)
    run("torch", whole)
    path = write_plain_arguments(tmp_path, "killed", devices=2, checkpoint_seconds=0)
    checkpoints, errors = tmp_path / "killed/run/checkpoints", tmp_path / "errors"
    for goal, first in ((4, False), (12, True), (18, False)):
        process = start("components.training.train_torch", path, errors)
        while newest(checkpoints) < goal:
            assert process.poll() is None, errors.read_text()
            time.sleep(0.001)
        family = psutil.Process(process.pid).children(recursive=True)
        (other,) = (p for p in family if "spawn_main" in " ".join(p.cmdline()))
        (psutil.Process(process.pid) if first else other).send_signal(signal.SIGKILL)
        assert process.wait(60) == (-9 if first else 1)
        assert psutil.wait_procs(family, timeout=30)[1] == []
        if not first:
            assert "Traceback" not in errors.read_text()
            assert "number 1 with exit status -9 ended too early" in errors.read_text()
    run("torch", path)
    check_same_record(tmp_path / "whole/run", tmp_path / "killed/run")


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_without_units_for_bfloat16_precision_falls_back_to_float32_and_says_so(framework):
    done = run_warm(IMPORTED[framework], "tests.helpers.chosen_devices", framework)
    assert done.stdout.splitlines() == [
        "cpu, 1 threads, float32 (no units for bfloat16)",
        "cpu, 1 threads, bfloat16",
        "cpu, 1 threads, float32",
        "cpu, 1 threads, bfloat16",
        "cpu, 1 threads, bfloat16",
        "cpu, 1 threads, float32",
    ], done.stderr


def test_on_a_cpu_no_thread_of_pytorch_spends_time_on_denormal_numbers():
    done = run_warm("torch", "tests.helpers.denormals")
    assert done.stdout.split() == ["2", "0"], done.stderr
