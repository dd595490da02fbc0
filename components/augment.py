"""Augment step: the training index and the policies that the trainers carry out per batch.

<directory>/policy.json   {"keras": [...], "torch": [...]} operations of components/policy.py
<directory>/index.npy     int64 rows of the training split, one per training example
<directory>/preview.png   originals beside augmented variants
"""

import json
from pathlib import Path

import numpy as np

from components.arrays import ImageArrays
from pipeline.config import AugmentConfig


def write_plan(arrays: ImageArrays, config: AugmentConfig, directory: Path) -> None:
    """Writes `policy.json` and `index.npy` (every training image once, in order)."""
    policies = config.model_dump(mode="json")
    (directory / "policy.json").write_text(json.dumps(policies, indent=1))
    np.save(directory / "index.npy", np.arange(len(arrays.split("train")), dtype=np.int64))
