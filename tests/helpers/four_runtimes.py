"""The probabilities of one TFLite file by four runtimes: LiteRT and MediaPipe, in Python and in a
browser. Every function takes uint8 (N, H, W, C) and gives float32 (N, classes)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.browser import Page

MEDIAPIPE = "mediapipe==1.2.3"
_INTERPRETER = "MEDIAPIPE_PYTHON"

_MEDIAPIPE = """
import sys
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

model, images, classes, out = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
base = BaseOptions(model_asset_path=model, delegate=BaseOptions.Delegate.CPU)
options = vision.ImageClassifierOptions(base_options=base, max_results=-1)
found = np.zeros((len(images), classes), np.float32)
with vision.ImageClassifier.create_from_options(options) as classifier:
    for row, image in zip(found, images):
        picture = mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(image))
        for category in classifier.classify(picture).classifications[0].categories:
            row[category.index] = category.score
np.save(out, found)
"""


def in_colour(images: np.ndarray) -> np.ndarray:
    """Three channels, grey ones as equal ones."""
    return np.ascontiguousarray(np.broadcast_to(images, (*images.shape[:3], 3)))


def litert_python(model: Path, images: np.ndarray) -> np.ndarray:
    """One image at a time, as on a phone."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target["index"])[0].copy())
    return np.stack(rows)


def mediapipe_interpreter(directory: Path) -> str:
    """A Python with MediaPipe, which is installed into `directory` unless $MEDIAPIPE_PYTHON names
    one; skips where it cannot be."""
    if named := os.environ.get(_INTERPRETER):
        return named
    for command in (
        [sys.executable, "-m", "venv", str(directory)],
        [str(directory / "bin/pip"), "install", "-q", "--retries", "0", MEDIAPIPE],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{MEDIAPIPE} was not installed within ten minutes")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["?"])[-1]
            pytest.skip(f"{MEDIAPIPE} cannot be installed: {last}; or set ${_INTERPRETER}")
    return str(directory / "bin/python")


def mediapipe_python(
    interpreter: str, model: Path, images: np.ndarray, classes: int, directory: Path
) -> np.ndarray:
    """By its ImageClassifier, at the model's own size; `directory` is for files on the way."""
    given, made = directory / "images.npy", directory / "found.npy"
    np.save(given, images)
    command = [interpreter, "-c", _MEDIAPIPE, str(model), str(given), str(classes), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(made)


def in_browser(page: Page, url: str, runtime: str, file: str, classes: int) -> np.ndarray:
    """By the bundle's JavaScript sample; the images are the bundle's `thousand.bin`, with the
    channels of the release."""
    page.open(url, 400, 400, dark=False)
    page.evaluate(f"""
        import('./classifier.js').then(async ({{ load, fetched }}) => {{
            const classifier = await load('../', {json.dumps(file)}, {json.dumps(runtime)});
            const {{ height, width, channels }} = classifier.contract.image_spec;
            const size = height * width * channels;
            const images = await fetched('../', 'thousand.bin');
            const rows = [];
            for (let at = 0; at < images.length; at += size) {{
                rows.push(...await classifier.probabilities(images.slice(at, at + size)));
            }}
            window.found = rows;
        }}).catch((error) => {{ window.found = String(error.message ?? error); }}), 0
    """)
    page.until("window.found")
    found = page.evaluate("window.found")
    assert isinstance(found, list), found
    return np.array(found, np.float32).reshape(-1, classes)
