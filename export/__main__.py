"""Exports trained models and verifies every artifact.

`python -m export MODEL_DIR OUT` takes any trained model (command_line.py) and leaves what libraries
say in OUT/log.txt; `python -m export
ARGS.json` is what a run starts, with `exporter.ExportArgs`. Exit code 0 when everything was
exported and measured, 1, with one sentence on the console, when an export failed or a verification
process ended without a result, 2 for wrong arguments. By hand it is 3 when an artifact does not
agree with its source; a run finds that in parity.json.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from components.base.commands import UsageError, run
from components.base.console import chatter_to, console
from components.base.process import warm_processes
from export.exporter import ExportArgs, export


def main(args: ExportArgs) -> None:
    """Exports on the CPU: a GPU would only add its start-up and rounding."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    terminal = console()
    export(args, lambda line: terminal.print(line, markup=False, highlight=False))


def by_hand(argv: list[str]) -> int:
    """Exports the model that the command line names; the exit code."""
    from export.command_line import arguments, predict
    from export.verification.artifact_gates import artifact_gates, refusals
    from export.verification.records import LATENCY, PARITY

    try:
        args, asked = arguments(argv)
        with _logged(args.output), warm_processes():
            if asked is not None:
                predict(asked, next(iter(args.models)))
            main(args)
    except (UsageError, ValueError, RuntimeError, OSError) as error:
        console().print(f"export: {error}", markup=False, highlight=False)
        return 2 if isinstance(error, UsageError) else 1
    records, latency = (json.loads((args.output / name).read_text()) for name in (PARITY, LATENCY))
    failed = refusals(artifact_gates(records, latency, args.export), args.export)
    bad = {record["artifact"] for record in records if not record["passed"]}
    made = len({record["artifact"] for record in records} - bad)
    print(f"{made} artifacts in {args.output} agree with {next(iter(args.models.values()))}")
    return 3 if failed else 0


@contextlib.contextmanager
def _logged(output: Path) -> Iterator[None]:
    """What libraries say goes to `log.txt` there."""
    output.mkdir(parents=True, exist_ok=True)
    with open(output / "log.txt", "ab", buffering=0) as log, chatter_to(log.fileno()):
        yield


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].endswith(".json"):
        run("export", ExportArgs, main)
    sys.exit(by_hand(sys.argv[1:]))
