"""Exports trained models and verifies every artifact: `python -m export ARGS.json`.

ARGS = {"models": {"keras": model directory, "torch": ...} (one or both), "arrays": directory,
"predictions": {"keras": directory with test.npz and val.npz, ...}, "transform_graph": directory or
null, "output": directory, "export": ExportConfig}.

Writes <output>/<framework>/{saved_model/, model.tflite, model.onnx, contract.json} (ONNX alone for
a network of the user's own PyTorch builder) and <output>/parity.json. Exit code 0 when everything
was exported and measured (whether it passed is in parity.json), 1, with one sentence on the
console, when an export failed or a verification process ended without a result, 2 for wrong
arguments.
"""

import concurrent.futures
import json
import os
import shutil
import sys
import traceback

from components.base import atomic
from components.base.console import console
from components.base.process import leave_error
from export.exporter import Args, Exporter, ExportError


def main(arguments: list[str]) -> int:
    terminal = console()

    def say(line: str) -> None:
        terminal.print(line, markup=False, highlight=False)

    try:
        args = Args.load(arguments[0])
    except (IndexError, OSError, ValueError) as error:
        say(f"python -m export expects ARGS.json: {error}")
        return 2
    # Artifacts are made and compared on the CPU: a GPU would only add its start-up and rounding.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for framework in args.models:
        shutil.rmtree(args.output / framework, ignore_errors=True)
    (args.output / "parity.json").unlink(missing_ok=True)
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            records = Exporter(args, pool, say).run()
    except ExportError as error:
        traceback.print_exc()
        leave_error(arguments[0], "export", str(error))
        return 1
    atomic.write(args.output / "parity.json", json.dumps(records, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
