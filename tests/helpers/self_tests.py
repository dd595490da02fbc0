"""What every sample's self-test must say of an intact mobile bundle, and of an altered one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

SelfTest = Callable[[Path], tuple[int, str]]
"""Runs it in a bundle; the exit code and its line."""


def check_passes(selftest: SelfTest, bundle: Path) -> None:
    code, line = selftest(bundle)
    assert code == 0, line
    assert line.startswith("ok: model.onnx: ") and "(at most 1e-04)" in line
    assert int(line.split("largest difference ")[2].split()[0]) <= 1


def check_finds_an_altered_probability(selftest: SelfTest, bundle: Path) -> None:
    path = bundle / "golden/probabilities.bin"
    values = np.fromfile(path, "<f4")
    values[7] += 0.2
    values.tofile(path)
    code, line = selftest(bundle)
    assert code == 1
    assert line.startswith("FAILED: ") and "largest difference 2.0e-01 (at most 1e-04)" in line
