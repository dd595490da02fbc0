"""What a release names images as: by both predictors and by the server, as a person asks them."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np

from components.base.process import ROOT
from serving.contract.image_spec import ImageSpec, decode
from serving.store.store import Store
from tests.helpers.serving_fixtures import server


def predicted(root: Path, format: str, images: list[Path]) -> list[str]:
    """Top-1 labels from `python -m serving.predict`."""
    done = subprocess.run(
        [sys.executable, "-m", "serving.predict", *map(str, images), "--root", str(root)]
        + ["--format", format],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line.rsplit(": ", 1)[1].split()[0] for line in done.stdout.splitlines()]


def served(root: Path, images: list[Path]) -> list[str]:
    """Top-1 labels from the real server, over HTTP."""
    release = Store(root / "serving").select()
    spec = ImageSpec.from_dict(release.contract()["image_spec"])
    batch = np.stack([decode(path.read_bytes(), spec) for path in images])
    body = {
        "inputs": [
            {"name": "image", "datatype": "UINT8", "shape": batch.shape, "data": batch.tolist()}
        ]
    }
    with server(root) as (_, _, line):
        request = urllib.request.Request(f"{line.split()[0]}/infer", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            output = json.load(answer)["outputs"][0]
    probabilities = np.array(output["data"]).reshape(output["shape"])
    return [release.contract()["labels"][i] for i in probabilities.argmax(axis=1)]
