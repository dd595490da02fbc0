"""Who may import what, proven by importing each module where the forbidden packages are blocked."""

import subprocess
import sys

import pytest

from components.base.fingerprint import PACKAGES, ROOT

TFX = ("tfx", "tensorflow_transform", "tensorflow_model_analysis", "apache_beam")
TENSORFLOW = ("tensorflow", "keras", "tensorflow_datasets")
TORCH = ("torch", "torchvision")
NUMERIC = ("numpy", "PIL", "onnxruntime", "sklearn")

_BLOCKER = """
import importlib.abc, importlib, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {forbidden!r}:
            raise ImportError(f"{{name}} may not be imported here")

sys.meta_path.insert(0, Block())
for module in {modules!r}:
    importlib.import_module(module)
"""


def _is_slice(module: str) -> bool:
    """Configuration, and what is decided by it alone: standard library and pydantic."""
    return module.rpartition(".")[2] == "config" or module in (
        "components.augmentation.policy",
        "components.gates.accuracy_gates",
        "components.gates.calibration_gate",
        "components.gates.chance",
        "components.gates.change_gate",
        "components.gates.class_gates",
        "components.gates.comparison",
        "components.gates.data_gate",
        "components.gates.model_gates",
        "components.gates.result",
        "components.gates.robustness_gate",
        "export.verification.parity_gates",
        "pipeline.configuration.beam",
        "pipeline.configuration.runs",
        "pipeline.configuration.tune",
    )


def _forbidden(module: str) -> tuple[str, ...]:
    name = module.rpartition(".")[2]
    if _is_slice(module):
        return TFX + TENSORFLOW + TORCH + NUMERIC
    if module in ("pipeline.line.dag", "pipeline.line.runner") or name.endswith("_tfx"):
        return ()
    if module.startswith("export."):
        return TFX
    if name.startswith("keras_") or name == "train_keras":
        return TFX + TORCH
    if name.startswith("torch_") or name == "train_torch":
        return TFX + TENSORFLOW
    return TFX + TENSORFLOW + TORCH


def _modules() -> dict[tuple[str, ...], list[str]]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "samples" in path.parts:  # run by themselves, out of the folder they are copied to
                continue
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            module = module.removesuffix(".__init__")
            if forbidden := _forbidden(module):
                groups.setdefault(forbidden, []).append(module)
    return groups


@pytest.mark.parametrize("forbidden, modules", _modules().items())
def test_modules_import_without_what_the_table_forbids(forbidden, modules):
    code = _BLOCKER.format(forbidden=set(forbidden), modules=modules)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
