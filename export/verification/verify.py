"""Child processes of the export, and the verdict on what `parity.py` measured in them."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from components.base.process import ROOT, python_path
from export.verification.config import BATCHES, ExportConfig
from export.verification.parity_gates import check_parity

# A child that hangs has failed; the largest preset takes seconds.
CHILD_SECONDS = 900


class NotMeasured(RuntimeError):
    """A verification gave neither numbers nor a fault of the artifact; it can be repeated."""


def child(module: str, values: dict, threads: int) -> str | None:
    """Runs `python -m <module> ARGS.json` on the CPU; None, or why it failed.

    What it writes on standard error is passed on to this process's.
    """
    environment = os.environ | {
        "PYTHONPATH": python_path(),
        "CUDA_VISIBLE_DEVICES": "-1",
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        args = Path(scratch) / "args.json"
        args.write_text(json.dumps(values))
        command = [sys.executable, "-m", module, str(args)]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stderr=subprocess.PIPE,
                timeout=CHILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{module} did not end within {CHILD_SECONDS} s"
    text = done.stderr.decode(errors="replace")
    sys.stderr.write(text)
    if done.returncode < 0:
        return f"{module} was ended by signal {-done.returncode} (9: often for want of memory)"
    if done.returncode:
        return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
    return None


def verify(values: dict, framework: str, limits: ExportConfig) -> list[dict]:
    """parity.json's records for one artifact, one for each batch size.

    `values` are the arguments of `parity.py` without batches and output. A record is
    `export.verification.parity`'s with `framework` and `passed`.

    Raises NotMeasured when the process ended without records, whatever ended it.
    """
    with tempfile.TemporaryDirectory(prefix="parity-") as scratch:
        output = Path(scratch) / "records.json"
        arguments = values | {"batches": BATCHES, "output": str(output)}
        reason = child("export.verification.parity", arguments, values["threads"])
        if not output.is_file():
            raise NotMeasured(reason or "export.verification.parity wrote no record")
        records = json.loads(output.read_text())
    return [judge({"framework": framework} | record, limits) for record in records]


def judge(record: dict, limits: ExportConfig) -> dict:
    """The record with `passed`, by the rule that also guards the release."""
    gates = check_parity(record, limits.max_difference, limits.min_agreement)
    return record | {"passed": all(gate.passed for gate in gates)}
