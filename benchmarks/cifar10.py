"""Where benchmarks find TFDS's prepared CIFAR-10: the option, and its check."""

import argparse
from pathlib import Path

from components.base.process import ROOT
from components.base.refusal import ConfigError


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    default = ROOT.parent / "shared" / "data" / "tfds"
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=default if default.is_dir() else None,
        help="TFDS's data directory, with a prepared cifar10",
    )


def checked_data_dir(arguments: argparse.Namespace) -> Path:
    """Of `--data-dir`. Raises ConfigError where it holds no CIFAR-10."""
    directory: Path | None = arguments.data_dir
    if directory is None or not (directory / "cifar10").is_dir():
        raise ConfigError(
            f"No prepared cifar10 in {directory or 'any known place'}: pass --data-dir=PATH, "
            "TFDS's data directory with cifar10/3.0.2/*.tfrecord* in it."
        )
    return directory
