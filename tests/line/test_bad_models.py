"""Bad models through the real command: each is trained, none is released.

They are PyTorch networks that learn like any other and go wrong where it counts, in inference.
"""

from pathlib import Path

import pytest

from components.base.process import python_path
from serving.store.store import Store
from tests.helpers.command_line import run

pytestmark = pytest.mark.full

QUICK = (
    *("train.epochs=6", "train.threads=1", "gates.min_accuracy=0.5"),
    'export.formats=["onnx"]',
)
NETWORKS = """
import torch
from torch import nn
from components.networks.custom_network import Builders


class Spoilt(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.learned = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes)
        )

    def forward(self, x):
        logits = self.learned(x / 255)
        return logits if self.training else self.spoil(logits)

    def spoil(self, logits):
        return logits


def network(spoil):
    kind = type("Spoilt", (Spoilt,), {"spoil": lambda self, logits: spoil(logits)})
    return lambda classes: Builders(torch=lambda shape, classes: kind(classes))


def one_hot(logits, number):
    return torch.nn.functional.one_hot(torch.tensor(number), logits.shape[1])


good = network(lambda logits: logits)
nan = network(lambda logits: logits * float("nan"))
constant = network(lambda logits: logits * 0)
one_class = network(lambda logits: logits + 1e3 * one_hot(logits, 4))
swapped_labels = network(lambda logits: logits.roll(1, -1))
lost_class = network(lambda logits: logits - 1e3 * one_hot(logits, 4))
worst_answer = network(lambda logits: -logits)
unsure = network(lambda logits: logits * 0.02)
infinite = network(lambda logits: logits * 1e38 * 1e38)
of_its_neighbours = network(lambda logits: logits - 3 * logits.mean(0, keepdim=True).relu())
"""
BAD = {
    "nan": (),
    "constant": (),
    "one_class": (),
    "swapped_labels": (),
    "lost_class": (),
    "worst_answer": (),
    "unsure": ("gates.max_calibration_error=0.1",),
    "infinite": (),
    "of_its_neighbours": (),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("bad")
    (directory / "own_networks.py").write_text(NETWORKS)
    return directory


@pytest.fixture(scope="module", autouse=True)
def found_from_everywhere(here):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{here}:{python_path()}")
        yield


def trained(here: Path, name: str, *more: str):
    arguments = ("digits", *QUICK, f"model.architecture=own_networks:{name}", *more)
    return run(here / "out", *arguments)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_not_released(here, name):
    done, verdict = trained(here, name, *BAD[name])
    assert verdict["status"] in ("refused", "failed"), done.stdout
    assert done.returncode in (1, 3) and done.returncode == verdict["exit_code"]
    assert verdict["sentence"] and "Traceback" not in done.stdout
    if verdict["status"] == "refused":
        assert any(not gate["passed"] for gate in verdict["gates"])
    assert not Store(here / "out/serving").models()


def test_a_good_model_of_that_kind_is_released_and_a_worse_one_after_it_is_not(here):
    done, verdict = trained(here, "good")
    assert done.returncode == 0 and verdict["version"] == 1, done.stdout
    worse = ("train.epochs=1", "train.learning_rate=0.0003", "gates.min_accuracy=0")
    done, verdict = trained(here, "good", *worse)
    assert done.returncode == 3, done.stdout
    assert "release" in verdict["sentence"]
    assert Store(here / "out/serving").current("digits").version == 1
