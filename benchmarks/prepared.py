"""Images for the training benchmarks: packed by the line itself, once for each configuration."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from components.augmentation.augment import make_plan
from components.base.config import json_slice
from components.base.process import ROOT, StepFailed
from components.data.arrays import ImageArrays
from components.data.pack import write_shard
from components.networks.network import FRAMEWORKS
from components.sources.open_source import LISTED
from pipeline.configuration.config import RunConfig
from pipeline.configuration.configure import configure as configure_run

DATA = ROOT.parent / "shared" / "data"
"""Where prepared sets are looked for when `data.dir` or the preset's archive is not there."""
OUTPUT = ROOT / "out" / "benchmarks"


def configure(preset: str, overrides: dict[str, str]) -> tuple[RunConfig, dict[str, str]]:
    """The preset's configuration, and the overrides with those that point at data in `DATA`.

    Raises ConfigError as `configure_run` does.
    """
    config = configure_run(preset, overrides)
    kind, _, name = config.data.source.partition(":")
    found = {}
    if kind == "tfds" and config.data.dir is None and (DATA / "tfds" / name).is_dir():
        found = {"data.dir": str(DATA / "tfds")}
    if kind in LISTED and not Path(name).expanduser().exists() and (DATA / name).exists():
        found = {"data.source": f"{kind}:{DATA / name}"}
    if not found:
        return config, overrides
    return configure_run(preset, overrides | found), overrides | found


def packed(preset: str, overrides: dict[str, str]) -> Path:
    """ImageArrays of the preset's images, made by the line's own steps up to pack.

    Kept in `OUTPUT/arrays`, for all presets of the same data and image size. Raises ConfigError for
    a wrong configuration, StepFailed when the line failed.
    """
    config, overrides = configure(preset, overrides)
    exclude = {"schema_path", "accept_classes", "limit", "verify"}
    slices = json_slice(config.data, exclude=exclude) + json_slice(config.image)
    key = hashlib.sha256(slices.encode()).hexdigest()[:12]
    source = re.sub(r"\W+", "-", config.data.source)[-40:].strip("-")
    directory = OUTPUT / "arrays" / f"{source}-{key}"
    if directory.is_dir():
        return directory
    print(f"packing the images of {preset} with the line itself (a minute)", file=sys.stderr)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as folder:
        errors, root = Path(folder, "errors.txt"), Path(folder, "out")
        command = [sys.executable, "-m", "benchmarks.lines_tfx", "ours", preset]
        command += [f"{folder}/result.json", f"root={root}"]
        command += [f"{key}={value}" for key, value in overrides.items()]
        with errors.open("w") as file:
            done = subprocess.run(command, cwd=ROOT, stdout=file, stderr=file, check=False)
        if done.returncode:
            raise StepFailed(f"The line could not pack {preset}:\n{errors.read_text()[-3000:]}")
        (arrays,) = root.glob("artifacts/pack/arrays/*")
        _publish(arrays, directory)
    return directory


def write_plan(arrays: Path, config: RunConfig, directory: Path) -> None:
    """The augment step's plan for `data.limit` images, without its preview."""
    directory.mkdir(parents=True)
    make_plan(ImageArrays(arrays), config.augment, directory, config.data.limit)


def with_mirrored(arrays: Path) -> Path:
    """ImageArrays with `test` and, as the split `mirrored`, the same images mirrored."""
    directory = arrays.with_name(f"{arrays.name}.mirrored")
    if directory.is_dir():
        return directory
    found = ImageArrays(arrays)
    test = found.split("test")
    with tempfile.TemporaryDirectory(dir=arrays.parent) as folder:
        made = Path(folder, "made")
        rows = np.split(np.arange(len(test)), range(2500, len(test), 2500))
        batches = ((test.packed(part)[:, :, ::-1], test.labels[part]) for part in rows)
        write_shard(made / "mirrored", 0, len(test), found.spec, batches)
        for name in ("image_spec.json", "labels.json"):
            shutil.copy(arrays / name, made / name)
        (made / "test").symlink_to(arrays.resolve() / "test")
        _publish(made, directory)
    return directory


def _publish(made: Path, directory: Path) -> None:
    """Moves `made` to `directory`, unless another process did so meanwhile."""
    try:
        os.replace(made, directory)
    except OSError:
        if not directory.is_dir():
            raise


def digest(config: RunConfig, framework: str) -> str:
    """Of all that decides about a model but its seed: data, image size, network, policy, recipe.

    Where the data lies, threads and the interval of checkpoints are left out, and what is at its
    default: a field that is added leaves the digests of older recipes as they were.
    """
    excluded = {
        "data": {"dir", "schema_path", "accept_classes", "verify"},
        "image": set(),
        "model": set(),
        "augment": set(FRAMEWORKS),
        "train": {"seed", "threads", "checkpoint_seconds"},
    }
    parts = {
        name: getattr(config, name).model_dump(mode="json", exclude=exclude, exclude_defaults=True)
        for name, exclude in excluded.items()
    }
    kind, _, name = config.data.source.partition(":")
    parts["data"]["source"] = f"{kind}:{Path(name).name if kind in LISTED else name}"
    parts["policy"] = [
        {"kind": operation.kind} | operation.model_dump(mode="json", exclude_defaults=True)
        for operation in getattr(config.augment, framework)
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
