"""Gates on artifacts: how far each may be from the model it came from."""

import dataclasses

from components.gates.result import GateResult, at_least, number

PARITY = "parity.json"
"""The file with the records of all artifacts, beside the folders of the exports."""


def check_parity(record: dict, max_difference: float, min_agreement: float) -> list[GateResult]:
    """The gates of one exported artifact against its source model, from a record of parity.json."""
    framework, artifact = record["framework"], f"{record['artifact']} (batch {record['batch']})"
    if record.get("error"):
        failed = f"failed: {record['error']}"
        return [GateResult("parity", "to run", failed, False, framework, artifact)]
    difference, agreement = number(record["max_difference"]), number(record["agreement"])
    return [
        GateResult(
            "max_difference",
            f"at most {max_difference:g}",
            f"{difference:.2g}",
            difference <= max_difference,
            framework,
            artifact,
        ),
        dataclasses.replace(
            at_least("agreement", framework, agreement, min_agreement), artifact=artifact
        ),
    ]


def parity_gates(
    records: list[dict], max_difference: float, min_agreement: float
) -> list[GateResult]:
    """`check_parity` over every record of `parity.json`."""
    return [
        gate for record in records for gate in check_parity(record, max_difference, min_agreement)
    ]
