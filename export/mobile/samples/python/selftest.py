"""Replays the bundle's golden images: `python selftest.py [MODEL_FILE...]`, by default every TFLite
file. Prints a line for each. Exit codes: 0 all agree, 1 one does not."""

import hashlib
import json
import sys

import numpy as np
from classifier import BUNDLE, Classifier
from PIL import Image


def check(model: str) -> tuple[bool, str]:
    """(whether it passed, one line)."""
    contract = json.loads((BUNDLE / "contract.json").read_text(encoding="utf-8"))
    facts, golden, spec = contract["files"][model], contract["golden"], contract["image_spec"]
    digest = hashlib.sha256((BUNDLE / model).read_bytes()).hexdigest()
    if digest != facts["sha256"]:
        expected = facts["sha256"]
        return False, f"its SHA-256 is {digest[:16]}..., contract.json says {expected[:16]}..."

    shape = spec["height"], spec["width"], spec["channels"]
    images = np.fromfile(BUNDLE / golden["images"], np.uint8).reshape(golden["count"], *shape)
    expected = np.fromfile(BUNDLE / golden["probabilities"], "<f4").reshape(golden["count"], -1)
    classifier = Classifier(BUNDLE, model)
    found = np.stack([classifier.probabilities(image) for image in images])
    difference, most = float(np.abs(found - expected).max()), facts["tolerance"]

    with Image.open(BUNDLE / golden["photo"]) as photo:
        pixels = classifier.preprocess(photo)
    right = np.fromfile(BUNDLE / golden["photo_pixels"], np.uint8).reshape(shape)
    levels = int(np.abs(pixels.astype(int) - right).max())

    line = (
        f"{len(images)} golden images, largest difference {difference:.1e} (at most {most:.0e});"
        f" {golden['photo']}: largest difference {levels} of 255"
    )
    return bool(difference <= most and levels <= 1), line  # NaN is not at most anything


def main(models: list[str]) -> int:
    """Checks these files."""
    files = json.loads((BUNDLE / "contract.json").read_text(encoding="utf-8"))["files"]
    passed = True
    for model in models or [name for name in files if name.endswith(".tflite")]:
        try:
            good, line = check(model)
        except KeyError as error:
            good, line = False, f"contract.json does not name {error}"
        except (OSError, ValueError, RuntimeError) as error:
            good, line = False, str(error)
        passed &= good
        print(f"{'ok' if good else 'FAILED'}: {model}: {line}")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
