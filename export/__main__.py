"""`python -m export ARGS.json`: exports trained models and verifies every artifact.

ARGS are those of `exporter.ExportArgs`. Exit code 0 when everything was exported and measured
(whether it passed is in parity.json), 1, with one sentence on the console, when an export failed or
a verification process ended without a result, 2 for wrong arguments.
"""

import os

from components.base.commands import run
from components.base.console import console
from export.exporter import ExportArgs, export


def main(args: ExportArgs) -> None:
    """Exports on the CPU: a GPU would only add its start-up and rounding."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    terminal = console()
    export(args, lambda line: terminal.print(line, markup=False, highlight=False))


if __name__ == "__main__":
    run("export", ExportArgs, main)
