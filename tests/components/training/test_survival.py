"""Trainers survive: killed anywhere they end as if undisturbed; damage is seen and passed over."""

import random

import numpy as np
import pytest

from tests.helpers.survival import check_same_record, train_under_fire
from tests.helpers.training_data import run_module, write_train_arguments

EPOCHS, STEPS = 8, 25
RECIPE = {
    "epochs": EPOCHS,
    "optimizer": "muon",
    "schedule": "one_cycle",
    "learning_rate": 0.01,
    "weight_decay": 0.05,
    "averaging": 0.95,
}


def weights(framework: str, model) -> list[np.ndarray]:
    if framework == "keras":
        from components.networks import keras_model

        return keras_model.load(model).get_weights()
    import safetensors.numpy

    return list(safetensors.numpy.load_file(model / "model.safetensors").values())


@pytest.mark.full
@pytest.mark.parametrize("framework, tolerance", [("torch", 0), ("keras", 1e-6)])
def test_killed_25_times_a_training_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path, framework, tolerance
):
    module = f"components.training.train_{framework}"
    whole = write_train_arguments(tmp_path, "whole", **RECIPE)
    assert run_module(module, whole).returncode == 0
    killed = write_train_arguments(tmp_path, "killed", **RECIPE, checkpoint_seconds=0)
    rng = random.Random(4)
    # The first before any checkpoint, the last in validation or while the model is stored.
    last = EPOCHS * (STEPS + 1) - 1
    targets = [0, *sorted(rng.sample(range(1, last), 23)), last]
    kills = train_under_fire(module, killed, targets, seed=5)
    print(f"{framework}:", *(f"{k.before}-{k.after}{'w' * k.writing}" for k in kills))
    assert len(kills) == 25
    assert any(kill.writing for kill in kills)
    check_same_record(tmp_path / "whole/run", tmp_path / "killed/run")
    found = (weights(framework, tmp_path / name / "model") for name in ("whole", "killed"))
    differences = [np.abs(a - b).max() for a, b in zip(*found, strict=True)]
    print(f"{framework}: largest difference of weights {max(differences)}")
    assert max(differences) <= tolerance
