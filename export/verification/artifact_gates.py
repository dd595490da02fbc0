"""The judgement of all artifacts: what refuses a release, and what is only left out of it."""

from components.gates.result import GateResult
from export.verification.config import ExportConfig
from export.verification.latency_gates import latency_gates
from export.verification.parity_gates import parity_gates
from export.verification.records import Latencies
from serving.contract.release_files import FORMATS, Format


def artifact_gates(
    records: list[dict], latency: Latencies, limits: ExportConfig
) -> list[GateResult]:
    """Every gate of every artifact; `records` are those of parity.json."""
    return parity_gates(records, limits) + latency_gates(records, latency, limits)


def refusals(gates: list[GateResult], limits: ExportConfig) -> list[GateResult]:
    """The failed gates of artifacts that a release cannot do without."""
    return [gate for gate in gates if not gate.passed and limits.is_required(format_of(gate))]


def left_out(gates: list[GateResult], limits: ExportConfig) -> dict[tuple[str, str], str]:
    """Why an artifact, by framework and format, is not released though others are: the first of its
    failed gates, as a sentence."""
    found: dict[tuple[str, str], str] = {}
    for gate in gates:
        row = format_of(gate)
        if not gate.passed and not limits.is_required(row):
            found.setdefault((gate.framework or "", row.name), gate.sentence())
    return found


def format_of(gate: GateResult) -> Format:
    """The format whose artifact was judged."""
    return FORMATS[(gate.artifact or "").partition(" ")[0]]
