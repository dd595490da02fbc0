"""Tiny real data for the trainers: scikit-learn's digits as ImageArrays, a plan, a command run."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from sklearn.datasets import load_digits

from components.networks.architectures import ARCHITECTURES
from components.networks.network import Network
from serving.contract.image_spec import ImageSpec

ROOT = Path(__file__).resolve().parents[2]
LABELS = tuple("0123456789")
SPECS = {
    "digits": ImageSpec(8, 8, 1, (0.3,), (0.4,)),
    "mnist": ImageSpec(28, 28, 1, (0.13,), (0.31,)),
    "cifar10": ImageSpec(32, 32, 3, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
}
POLICY = (
    {"kind": "translate", "fraction": 0.05},
    {"kind": "rotate", "fraction": 0.01},
    {"kind": "brightness", "fraction": 0.1},
)
RECIPE = {
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 2e-3,
    "threads": 1,
    "precision": "float32",
}


def network(framework: str, name: str) -> Network:
    return Network(framework, ARCHITECTURES[name](10), SPECS[name], LABELS)


def digit_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    images = (digits.images * 255 / 16).round().astype(np.uint8)[..., None]
    return images[:count], digits.target[:count].astype(np.int64)


def write_arrays(directory: Path, train: int = 400, held_out: int = 100) -> Path:
    """Splits train (in two shards) and val of the digits, and no test split at all: a trainer
    that looked at one would fail."""
    images, labels = digit_images(train + held_out)
    half = train // 2
    parts = {
        "train": [slice(0, half), slice(half, train)],
        "val": [slice(train, train + held_out)],
    }
    for split, shards in parts.items():
        (directory / split).mkdir(parents=True)
        for number, rows in enumerate(shards):
            np.save(directory / split / f"images-{number:05d}.npy", images[rows])
            np.save(directory / split / f"labels-{number:05d}.npy", labels[rows])
    (directory / "image_spec.json").write_text(SPECS["digits"].to_json())
    (directory / "labels.json").write_text(json.dumps(LABELS))
    return directory


def write_plan(directory: Path, rows: int = 400) -> Path:
    directory.mkdir(parents=True)
    policies = {"keras": POLICY, "torch": POLICY}
    (directory / "policy.json").write_text(json.dumps(policies))
    np.save(directory / "index.npy", np.arange(rows)[::-1])
    np.save(directory / "class_weights.npy", np.ones(len(LABELS)))
    return directory


def write_train_arguments(root: Path, name: str, **train) -> Path:
    """ARGS.json of a trainer whose outputs go to `root/name`; made on the data in `root`."""
    if not (root / "arrays").exists():
        write_arrays(root / "arrays")
        write_plan(root / "plan")
    arguments = {
        "arrays": f"{root}/arrays",
        "plan": f"{root}/plan",
        "architecture": "digits",
        "train": RECIPE | train,
        "model_dir": f"{root}/{name}/model",
        "run_dir": f"{root}/{name}/run",
    }
    path = root / f"{name}.json"
    path.write_text(json.dumps(arguments))
    return path


def write_margin_arguments(root: Path) -> Path:
    """Arguments for digits packed with a margin, of which the training split itself holds only
    blank images of class 0: the digits to learn from are the plan's copies. The policy blackens
    nearly everything: copies must not go through it. Losses are weighted by a hundredth."""
    root.mkdir()
    path = write_train_arguments(root, "margin", epochs=6)
    spec = dataclasses.replace(SPECS["digits"], margin_height=1, margin_width=2)
    (root / "arrays/image_spec.json").write_text(spec.to_json())
    for framework in ("keras", "torch"):
        (root / "plan/copies" / framework).mkdir(parents=True)
    for file in sorted((root / "arrays").rglob("images-*.npy")):
        labels = file.with_name(file.name.replace("images-", "labels-"))
        packed = np.pad(np.load(file), ((0, 0), (0, 1), (1, 1), (0, 0)))
        np.save(file, packed)
        if file.parent.name == "train":
            for copies in (root / "plan/copies").iterdir():
                np.save(copies / file.name, packed)
                np.save(copies / labels.name, np.load(labels))
            np.save(file, np.zeros_like(packed))
            np.save(labels, np.zeros(len(packed), np.int64))
    blacken = [{"kind": "cutout", "fraction": 1.0}] * 6
    (root / "plan/policy.json").write_text(json.dumps({"keras": blacken, "torch": blacken}))
    np.save(root / "plan/index.npy", np.arange(400, 800))
    np.save(root / "plan/class_weights.npy", np.full(10, 0.01))
    return path


def check_margin_run(directory: Path) -> None:
    """What `write_margin_arguments` leads to: copies learned from as they are, losses weighted."""
    last = json.loads((directory / "run/history.json").read_text())[-1]
    assert last["val_accuracy"] > 0.5
    # A hundredth of a loss that is otherwise like that of validation.
    assert 0.002 < last["loss"] / last["val_loss"] < 0.05
    spec = json.loads((directory / "model/network.json").read_text())["image_spec"]
    assert (spec["height"], spec["margin_height"], spec["margin_width"]) == (8, 1, 2)


def check_reduced_run(root: Path, framework: str, screen: str) -> None:
    """What a run `reduced`, in bfloat16, has in common with the run `first`, in float32."""
    assert f"{framework} on cpu, 1 threads, bfloat16, 85,450 parameters" in screen
    history, whole = (
        json.loads((root / name / "run/history.json").read_text()) for name in ("reduced", "first")
    )
    assert history[-1]["val_accuracy"] > 0.5
    assert history[0]["loss"] != whole[0]["loss"]
    assert history[0]["loss"] == pytest.approx(whole[0]["loss"], rel=0.05)


def check_last_good_checkpoint(directory: Path, sentence: str) -> None:
    """It is finite, and from the step before the one that the sentence names."""
    newest = max(directory.iterdir())
    stopped = int(re.search(r"the loss at step (\d+) of epoch 1", sentence)[1])
    assert int(newest.name.partition("-")[0]) == stopped - 1
    for name, array in safetensors.numpy.load_file(newest).items():
        assert np.isfinite(array).all(), name


def write_predict_arguments(root: Path, name: str) -> Path:
    """Arguments of a predictor, for the training `name` of `write_train_arguments`."""
    path = root / f"{name}-predict.json"
    outputs = {split: f"{root}/{name}/{split}.npz" for split in ("val", "train")}
    values = {"model_dir": f"{root}/{name}/model", "arrays": f"{root}/arrays", "outputs": outputs}
    path.write_text(json.dumps(values))
    return path


_PROGRAM = """
import runpy, sys
from importlib.machinery import PathFinder

class Finder:  # finds everything but the packages that are to be missing
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in {without!r}:
            return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
for module, path in {calls!r}:
    sys.argv[1:] = [path]
    code = 0
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        code = end.code
    print("exit", code, flush=True)
sys.exit(code)
"""


def run_module(
    module: str, *arguments: Path, without: tuple[str, ...] = (), gpu: bool = False
) -> subprocess.CompletedProcess:
    """`run_modules` of one module, once for each of `arguments`."""
    return run_modules(*((module, path) for path in arguments), without=without, gpu=gpu)


def run_modules(
    *calls: tuple[str, Path], without: tuple[str, ...] = (), gpu: bool = False
) -> subprocess.CompletedProcess:
    """`python -m MODULE ARGUMENTS` for each of `calls`, all in one process, in which importing any
    of the packages `without` fails as if it were not installed. Its exit code is the last one's;
    standard output holds only them, standard error what a person would see, and chatter."""
    program = _PROGRAM.format(
        without=without, calls=[(module, str(path)) for module, path in calls]
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ
        | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        | ({} if gpu else {"CUDA_VISIBLE_DEVICES": "-1"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def check_scalars(run_dir: Path) -> None:
    """TensorBoard reads the history of either framework by the same call."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_dir / "tensorboard")).Reload()
    history = json.loads((run_dir / "history.json").read_text())
    assert set(events.Tags()["scalars"]) == set(history[0]) - {"epoch", "stage"}
    for tag in events.Tags()["scalars"]:
        found = {event.step: event.value for event in events.Scalars(tag)}
        assert found == pytest.approx({row["epoch"]: row[tag] for row in history}), tag
