"""Exports trained models and verifies every artifact.

`python -m export MODEL_DIR OUT` takes any trained model (command_line.py); `python -m export
ARGS.json` is what a run starts, with `exporter.ExportArgs`. Exit code 0 when everything was
exported and measured, 1, with one sentence on the console, when an export failed or a verification
process ended without a result, 2 for wrong arguments. By hand it is 3 when an artifact does not
agree with its source; a run finds that in parity.json.
"""

import json
import os
import sys

from components.base.commands import UsageError, run
from components.base.console import console
from export.exporter import ExportArgs, export


def main(args: ExportArgs) -> None:
    """Exports on the CPU: a GPU would only add its start-up and rounding."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    terminal = console()
    export(args, lambda line: terminal.print(line, markup=False, highlight=False))


def by_hand(argv: list[str]) -> int:
    """Exports the model that the command line names; the exit code."""
    from export.command_line import arguments
    from export.verification.artifact_gates import artifact_gates, refusals
    from export.verification.records import LATENCY, PARITY

    terminal = console()
    try:
        args = arguments(argv)
        main(args)
    except (UsageError, ValueError, RuntimeError) as error:
        terminal.print(f"export: {error}", markup=False, highlight=False)
        return 2 if isinstance(error, UsageError) else 1
    records, latency = (json.loads((args.output / name).read_text()) for name in (PARITY, LATENCY))
    failed = refusals(artifact_gates(records, latency, args.export), args.export)
    bad = {record["artifact"] for record in records if not record["passed"]}
    made = len({record["artifact"] for record in records} - bad)
    terminal.print(
        f"{made} artifacts in {args.output} agree with {next(iter(args.models.values()))}"
    )
    return 3 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].endswith(".json"):
        run("export", ExportArgs, main)
    sys.exit(by_hand(sys.argv[1:]))
