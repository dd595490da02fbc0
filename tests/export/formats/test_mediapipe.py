"""MediaPipe's ImageClassifier opens our TFLite files and shows our labels, scores and order.

MediaPipe and what TFX pins do not go together, so that it has an environment of its own: that of
the interpreter DARKROOM_MEDIAPIPE_PYTHON names, or one made for the test (200 MB to download).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.networks import keras_model
from export.formats import tflite, tflite_rgb, twin
from export.formats.trained_model import TrainedModel
from export.verification.runtimes import open_artifact
from serving.contract.release_files import FORMATS
from tests.helpers import zoo
from tests.helpers.export_data import random_weights

pytestmark = pytest.mark.full
CLASSIFY = """
import json, sys
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions

found = {}
for model, images in zip(sys.argv[1::2], sys.argv[2::2]):
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        found[model] = []
        for image in np.load(images):
            shown = mp.Image(image_format=mp.ImageFormat.SRGB, data=image)
            (head,) = classifier.classify(shown).classifications
            scores = [(c.index, c.category_name, c.score) for c in head.categories]
            found[model].append({"head": head.head_name, "scores": scores})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    if named := os.environ.get("DARKROOM_MEDIAPIPE_PYTHON"):
        return named
    where = tmp_path_factory.mktemp("mediapipe") / "venv"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, where], check=True)
    found = where / "bin/python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", found, "mediapipe"], check=True)
    return str(found)


def test_mediapipe_shows_our_labels_scores_and_first_answer(python, tmp_path):
    files = {}
    for name in ("cifar10", "smiles_v1", "digits"):
        description = zoo.network("keras", name)
        directory = tmp_path / name
        made = twin.to_keras(random_weights(description), description)
        keras_model.save(made, description, directory / "model")
        model = TrainedModel(directory / "model")
        height, width, channels = description.spec.shape
        images = np.random.default_rng(0).integers(0, 256, (20, height, width, 3), np.uint8)
        np.save(directory / "images.npy", images)
        if channels == 1:
            paths = [tflite_rgb.export(model, directory / "model_rgb.tflite")]
        else:
            rows = [FORMATS[n] for n in ("tflite", "tflite_float16", "tflite_dynamic_int8")]
            paths = [tflite.export(model, directory / row.file, row.precision) for row in rows]
        files |= {path: (images, description.labels) for path in paths}
    arguments = [str(p) for path in files for p in (path, path.with_name("images.npy"))]
    done = subprocess.run(
        [python, "-c", CLASSIFY, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout)
    for path, (images, labels) in files.items():
        run = open_artifact("tflite", path, threads=1).signatures["image"]
        for image, answer in zip(images, answers[str(path)]):
            (expected,) = run(image[None])
            assert answer["head"] == "probabilities"
            assert answer["scores"][0][0] == expected.argmax()
            assert len(answer["scores"]) == len(labels)
            for index, label, score in answer["scores"]:
                assert label == labels[index]
                assert score == pytest.approx(expected[index], abs=1e-6)
