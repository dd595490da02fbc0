"""What `python -m export` is given: models, whose weights are random, and digits."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

from components.base.console import CONSOLE_FD
from components.base.fingerprint import ROOT
from components.base.warm import SOCKETS
from tests.helpers.export_data import (
    digits_arrays,
    keras_probabilities,
    network,
    random_module,
    random_weights,
    torch_probabilities,
    transform_graph,
    write_predictions,
)
from tests.helpers.warm_modules import run_warm

FRAMEWORKS = ("keras", "torch")


def ingredients(directory: Path, frameworks: tuple[str, ...] = FRAMEWORKS) -> Path:
    """Model directories, `arrays`, each framework's own `..._predictions`, and `transform`."""
    from components.networks import keras_model, torch_model
    from export.formats import twin

    arrays = digits_arrays(directory / "arrays", test=40, val=220, train=300)
    for seed, framework in enumerate(frameworks):
        description = network(framework)
        if framework == "keras":
            model = twin.to_keras(random_weights(description, seed), description)
            keras_model.save(model, description, directory / framework)
            predict = functools.partial(keras_probabilities, model)
        else:
            module = random_module(description, seed)
            torch_model.save(module, description, directory / framework)
            predict = functools.partial(torch_probabilities, module)
        write_predictions(directory / f"{framework}_predictions", arrays, predict)
    transform_graph(directory / "transform")
    return directory


def _arguments(directory: Path, changes: dict) -> Path:
    values = {
        "models": {name: str(directory / name) for name in FRAMEWORKS},
        "arrays": str(directory / "arrays"),
        "predictions": {name: str(directory / f"{name}_predictions") for name in FRAMEWORKS},
        "transform_graph": str(directory / "transform"),
        "output": str(directory / "out"),
        "export": {},
    } | changes
    path = directory / "args.json"
    path.write_text(json.dumps(values))
    return path


def run_export(directory: Path, **changes) -> subprocess.CompletedProcess:
    """For tests with the fixture `warm_processes`: it and its processes are forked, as in a run."""
    return run_warm("tensorflow", "export", _arguments(directory, changes))


def start_export(directory: Path, **changes) -> subprocess.Popen:
    """Started from nothing, as by hand, and so are its processes."""
    environment = {k: v for k, v in os.environ.items() if k not in (CONSOLE_FD, SOCKETS)}
    return subprocess.Popen(
        [sys.executable, "-m", "export", str(_arguments(directory, changes))],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
