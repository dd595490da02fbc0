"""One TFLite file, four runtimes: the same classes of a thousand images.

Real releases, made by the whole line, and real images at the model's own size: MediaPipe resizes
otherwise than training did.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from export.mobile.__main__ import main
from serving.store.store import Store
from tests.helpers import browser, four_runtimes
from tests.helpers.browser_samples import packages, served
from tests.helpers.command_line import run
from tests.helpers.serving_fixtures import digits
from tests.helpers.shared_data import PREPARED, needs_data

pytestmark = pytest.mark.full
COUNT = 1000
COLOUR = (
    *("cifar10", f"data.dir={PREPARED}", "data.limit=4000", "train.epochs=3", "train.averaging=0"),
    *("gates.min_accuracy=0.2", "export.max_accuracy_loss_int8=0.05"),
    *("export.min_agreement_int8=0.9", "export.min_agreement_float16=0.95"),
    'export.formats=["onnx","tflite","tflite_float16","tflite_dynamic_int8","tflite_int8"]',
)
"""Not a good model, but one whose answers are not ties."""


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    return packages(tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="module")
def mediapipe(tmp_path_factory):
    return four_runtimes.mediapipe_interpreter(tmp_path_factory.mktemp("mediapipe"))


def _cifar10() -> np.ndarray:
    """uint8 (COUNT, 32, 32, 3): test images."""
    import tensorflow_datasets as tfds

    source = tfds.load("cifar10", split=f"test[:{COUNT}]", data_dir=PREPARED, download=False)
    return np.stack([example["image"] for example in tfds.as_numpy(source)])


def test_a_grey_model_answers_alike_in_all_four(tmp_path, node_modules, mediapipe):
    assert run(tmp_path / "out", "digits")[0].returncode == 0
    _compare(tmp_path, "digits", digits()[0][:COUNT], node_modules, mediapipe)


@needs_data
def test_a_colour_model_answers_alike_in_all_four(tmp_path, node_modules, mediapipe):
    done, _ = run(tmp_path / "out", *COLOUR)
    assert done.returncode == 0, done.stdout + done.stderr
    _compare(tmp_path, "cifar10", _cifar10(), node_modules, mediapipe)


def _compare(root: Path, name: str, images: np.ndarray, node_modules: Path, mediapipe: str) -> None:
    bundle = root / "bundle"
    assert main([str(Store(root / "out/serving").current(name).path), str(bundle)]) == 0
    (bundle / "thousand.bin").write_bytes(images.tobytes())
    contract = json.loads((bundle / "contract.json").read_text())
    classes = len(contract["labels"])
    rows, wrong = [], []
    with served(bundle, node_modules) as url, browser.browser(browser.found()) as page:
        for file, facts in contract["files"].items():
            if not file.endswith(".tflite"):
                continue
            model, colour = bundle / file, facts["channels"] == 3
            given = four_runtimes.in_colour(images) if colour else images
            found = {"litert.js": four_runtimes.in_browser(page, url, "litert", file, classes)}
            if colour:
                found["tasks-vision"] = four_runtimes.in_browser(
                    page, url, "mediapipe", file, classes
                )
                found["mediapipe"] = four_runtimes.mediapipe_python(
                    mediapipe, model, given, classes, root
                )
            reference = four_runtimes.litert_python(model, given)
            assert len(reference) == COUNT
            for runtime, answer in found.items():
                same = int((answer.argmax(1) == reference.argmax(1)).sum())
                difference = float(np.abs(answer - reference).max())
                rows.append(f"{name} {file} {runtime}: {same} of {COUNT}, {difference:.1e}")
                if facts["precision"] == "float32" and not (same == COUNT and difference <= 1e-5):
                    wrong.append(rows[-1])
                # Kernels of reduced precision may round otherwise, as another processor's do.
                if not (same >= 0.99 * COUNT and difference <= facts["tolerance"]):
                    wrong.append(rows[-1])
    print("\n".join(rows))
    assert rows and not wrong, wrong
