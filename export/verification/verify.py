"""The verdict on what `parity.py`, in a process of its own, measured of an artifact."""

import json
import tempfile
from pathlib import Path

from components.base.frameworks import IMPORTED
from components.base.process import StepFailed, run_module
from export.verification.config import ExportConfig
from export.verification.parity import ParityArgs
from export.verification.parity_gates import check_parity
from serving.contract.release_files import FORMATS

CHILD_SECONDS = 900
"""A process of the export that takes longer has failed; the largest preset takes seconds."""


class NotMeasured(RuntimeError):
    """A verification gave neither numbers nor a fault of the artifact; it can be repeated."""


def verify_artifact(args: ParityArgs, framework: str, limits: ExportConfig) -> list[dict]:
    """parity.json's records for one artifact, one for each batch size: those of `parity.measure`
    with `framework` and `passed`. They are left in `args.output`, as measured.

    Raises NotMeasured when the process ended without records, whatever ended it.
    """
    args.output.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        try:
            run_module(
                "export.verification.parity",
                args,
                Path(scratch),
                seconds=CHILD_SECONDS,
                threads=args.threads,
                gpu=False,
                imports=IMPORTED[FORMATS[args.artifact].runtime],
            )
        except StepFailed as error:
            raise NotMeasured(str(error)) from error
    records = json.loads(args.output.read_text())
    return [judge({"framework": framework} | record, limits) for record in records]


def judge(record: dict, limits: ExportConfig) -> dict:
    """The record with `passed`, by the rule that also guards the release."""
    gates = check_parity(record, limits)
    return record | {"passed": all(gate.passed for gate in gates)}
