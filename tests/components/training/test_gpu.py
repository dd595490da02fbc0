"""What PyTorch's trainer does on an NVIDIA GPU alone. Without one these are skipped."""

import json

import numpy as np
import pytest
import torch

from components.data.arrays import ImageArrays, open_split
from components.networks import torch_model
from components.training.torch_learner import Learner
from components.training.train_torch import Readings, reader
from components.training.training_record import TrainingError
from tests.helpers import recipes
from tests.helpers.training_data import run_module, write_arrays, write_train_arguments

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")


class Record:
    """Takes steps as TrainingRecord does, and refuses a loss that is not finite."""

    def __init__(self):
        self.steps = []

    def step(self, images: int, loss: float, accuracy: float, rate: float) -> None:
        if not np.isfinite(loss):
            raise TrainingError(f"step {len(self.steps) + 1}")
        self.steps.append((images, loss, accuracy, rate))


def test_images_that_lie_on_the_gpu_are_those_of_the_arrays(tmp_path):
    split = open_split(ImageArrays(write_arrays(tmp_path / "arrays")), "train")
    rows = np.array([399, 0, 7, 7])
    before = torch.cuda.memory_allocated()
    read = reader(split.images, split, torch.device("cuda"))
    assert torch.cuda.memory_allocated() - before >= 400 * 64  # all of them, once
    images, labels = read(rows)
    assert images.device.type == labels.device.type == "cuda" and images.dtype == torch.uint8
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).cpu(), split.images(rows))
    np.testing.assert_array_equal(labels.cpu(), split.labels[rows])


def test_steps_wait_for_nothing_and_are_all_recorded(tmp_path):
    device = torch.device("cuda")
    split = open_split(ImageArrays(write_arrays(tmp_path / "arrays")), "train")
    network = recipes.network("torch", random=True)
    config = recipes.RECIPES["muon"]
    model = torch_model.build(network).to(device, memory_format=torch.channels_last)
    learner = Learner(
        model, network.architecture, network.spec, recipes.POLICY, np.ones(10, np.float32), config,
        torch.bfloat16,
    )  # fmt: skip
    read, record = reader(split.images, split, device), Record()
    readings = Readings(record, device)
    rows = np.arange(32)
    learner.step(*read(rows), None, 1e-3, 32, 1.0)  # the first one compiles and allocates
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            readings.add(learner.step(*read(rows), None, 1e-3, 32, 1.0), 32, 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    readings.drain()
    assert [images for images, *_ in record.steps] == [32] * 20


def test_a_loss_that_is_not_finite_is_found_at_its_step():
    readings = Readings(Record(), torch.device("cuda"))
    with pytest.raises(TrainingError, match="step 3"):
        for loss in (1.0, 0.5, float("nan"), 0.4):
            readings.add(torch.tensor([loss, 0.5], device="cuda"), 32, 1e-3)
        readings.drain()


def test_a_training_on_the_gpu_learns_and_says_where(tmp_path):
    done = run_module(
        "components.training.train_torch", write_train_arguments(tmp_path, "run"), gpu=True
    )
    assert done.returncode == 0, done.stderr
    assert "torch on cuda" in done.stderr
    history = json.loads((tmp_path / "run/run/history.json").read_text())
    assert history[-1]["val_accuracy"] > 0.5
