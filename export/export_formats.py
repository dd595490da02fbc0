"""Formats of one model: `python -m export.export_formats ARGS.json`.

For formats that PyTorch writes by itself: its exporter loads Triton, which ends a process that has
loaded TensorFlow, so that they are made in a process of their own.
"""

import contextlib
import ctypes
import importlib
import json
import time
from pathlib import Path
from typing import Any, Literal

from components.base import atomic, disk
from components.base.commands import Arguments, run
from export.formats import contract as contracts
from export.formats.inexpressible import sentence
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import FORMATS


class FormatsArgs(Arguments):
    """Arguments of `export_formats`."""

    framework: Literal["keras", "torch"]
    model_dir: Path
    contract: dict[str, Any]
    """What goes into the artifacts, see export/formats/contract.py."""
    formats: list[str]
    """Names in `release_files.FORMATS`, in the table's order."""
    required: list[str]
    """Those of them without which there is nothing to release."""
    arrays: Path | None = None
    calibration_images: int = 512
    output: Path
    """The directory of all of the model's artifacts."""
    failures: Path
    """JSON to write: why those that are not required could not be made, by name."""


def write_format(model: TrainedModel, name: str, directory: Path) -> Path:
    """Writes the artifact by the format's own module. Raises whatever its libraries do."""
    row, started = FORMATS[name], time.perf_counter()
    path = directory / row.file
    module = importlib.import_module(contracts.module_of(row, model.network))
    module.export(model, path, row.precision)
    _give_back()
    # For the log of a run; on the console only what was verified counts.
    framework, seconds = model.network.framework, time.perf_counter() - started
    print(f"export {framework} {name}: {seconds:.1f} s", flush=True)
    return path


def _give_back() -> None:
    """Returns what converters needed for a while to the system: processes of the line keep what
    they free (components/base/process.py), and of this one several others run beside it."""
    with contextlib.suppress(AttributeError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)


def main(args: FormatsArgs) -> None:
    """Writes the artifacts that `args` asks for. Raises ValueError for a required one that cannot
    be made."""
    model = TrainedModel(
        args.model_dir,
        args.framework,
        contract=args.contract,
        arrays=args.arrays,
        calibration_count=args.calibration_images,
    )
    failures = {}
    for name in args.formats:
        try:
            write_format(model, name, args.output)
        except Exception as error:
            if name in args.required or disk.is_full(error):
                raise ValueError(f"{name}: {sentence(error)}") from error
            failures[name] = sentence(error)
    atomic.write(args.failures, json.dumps(failures) + "\n")


if __name__ == "__main__":
    run("export.export_formats", FormatsArgs, main)
