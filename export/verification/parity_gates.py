"""Gates on artifacts: how far each may be from the model it came from."""

from components.gates.result import GateResult, number
from export.verification.config import ExportConfig
from serving.contract.release_files import FORMATS


def check_parity(record: dict, limits: ExportConfig) -> list[GateResult]:
    """The gates of one exported artifact against its source model, from a record of parity.json.

    Of reduced precision single probabilities may differ, but not those of all images: which class
    comes first says nothing of a temperature that was lost on the way.
    """
    row = FORMATS[record["artifact"]]
    artifact = f"{row.name} (batch {record['batch']})"

    def gate(name: str, expected: str, received: str, passed: bool) -> GateResult:
        return GateResult(name, expected, received, passed, record["framework"], artifact)

    if record.get("error"):
        return [gate("parity", "to run", f"failed: {record['error']}", False)]
    agreement, least = number(record["agreement"]), limits.agreement_of(row)
    loss = number(record["source_accuracy"]) - number(record["accuracy"])
    most = limits.accuracy_loss_of(row)
    gates = [
        # Comparisons with NaN are false, so that it fails.
        gate("agreement", f"at least {least:.4f}", f"{agreement:.4f}", agreement >= least),
        # A difference of two shares of the same images, whose rounding must not decide.
        gate("accuracy_loss", f"at most {most:.4f}", f"{loss:.4f}", loss <= most + 1e-9),
    ]
    if row.precision == "float32":
        largest, most = number(record["max_difference"]), limits.max_difference
        gates.insert(
            0, gate("max_difference", f"at most {most:g}", f"{largest:.2g}", largest <= most)
        )
    else:
        mean, most = number(record.get("mean_difference")), limits.mean_difference_of(row)
        gates.insert(0, gate("mean_difference", f"at most {most:g}", f"{mean:.2g}", mean <= most))
    return gates


def parity_gates(records: list[dict], limits: ExportConfig) -> list[GateResult]:
    """`check_parity` over every record of `parity.json`."""
    return [gate for record in records for gate in check_parity(record, limits)]
