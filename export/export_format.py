"""One format of one model: `python -m export.export_format ARGS.json`.

For formats that PyTorch writes by itself: its exporter loads Triton, which ends a process that has
loaded TensorFlow, so that each of them is made in a process of its own.
"""

import importlib
from pathlib import Path
from typing import Any, Literal

from components.base.commands import Arguments, run
from export.formats.trained_model import TrainedModel


class FormatArgs(Arguments):
    """Arguments of `export_format`."""

    framework: Literal["keras", "torch"]
    model_dir: Path
    contract: dict[str, Any]
    """What goes into the artifact, see export/formats/contract.py."""
    format: str
    """A name in `release_files.FORMATS`."""
    output: Path


def write_format(model: TrainedModel, name: str, path: Path) -> None:
    """Writes the artifact by the format's own module."""
    importlib.import_module(f"export.formats.{name}").export(model, path)


def main(args: FormatArgs) -> None:
    """Writes the artifact that `args` asks for."""
    model = TrainedModel(args.model_dir, args.framework, contract=args.contract)
    write_format(model, args.format, args.output)


if __name__ == "__main__":
    run("export.export_format", FormatArgs, main)
