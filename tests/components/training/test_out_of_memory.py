"""The frameworks' own errors when memory runs out become a sentence with the batch size to try."""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers.training_data import ROOT, write_train_arguments


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_batch_too_large_for_the_memory_ends_in_a_sentence(tmp_path, framework):
    recipe = {"batch_size": 300, "optimizer": "sgd", "momentum": 0.0}
    path = write_train_arguments(tmp_path, "big", **recipe)
    values = json.loads(path.read_text()) | {"architecture": "tests.helpers.recipes:enormous"}
    path.write_text(json.dumps(values))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.helpers.short_of_memory",
            f"components.training.train_{framework}",
            str(path),
        ],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert "ran out of memory with train.batch_size 300" in done.stderr
    assert done.stderr.rstrip().endswith("try train.batch_size=256.")
    assert "Traceback" not in done.stderr
    assert (tmp_path / "big.error").read_text() in done.stderr
    assert not (tmp_path / "big/model").exists()
