"""Gates on what an artifact costs: its time on a CPU, and its size."""

from components.gates.result import GateResult, number
from export.verification.config import ExportConfig
from export.verification.records import CURRENT, Latencies
from serving.contract.release_files import FORMATS


def latency_gates(
    records: list[dict], latency: Latencies, limits: ExportConfig
) -> list[GateResult]:
    """The gates that `limits` asks for, of every artifact in parity.json's `records`.

    A format meant for GPUs is not held to its time here. One whose time was not measured fails a
    limit of it.
    """
    sizes = {(record["framework"], record["artifact"]): record["bytes"] for record in records}
    return [
        gate
        for (framework, name), size in sizes.items()
        for gate in _check(framework, name, size, latency, limits)
    ]


def _check(
    framework: str, name: str, size: int, latency: Latencies, limits: ExportConfig
) -> list[GateResult]:
    gates = []

    def gate(kind: str, received: float, most: float, unit: str, key: str) -> None:
        expected = f"at most {most:g} {unit} (export.{key})"
        passed = received <= most  # false for NaN
        gates.append(GateResult(kind, expected, f"{received:.4g} {unit}", passed, framework, name))

    if limits.max_mb is not None:
        gate("size", size / 1e6, limits.max_mb, "MB", "max_mb")
    if FORMATS[name].for_gpu:
        return gates
    own = number(_median(latency, framework, name))
    if limits.max_latency_ms is not None:
        gate("latency", own, limits.max_latency_ms, "ms", "max_latency_ms")
    before = _median(latency, CURRENT, name)
    if limits.max_slowdown is not None and before is not None:
        ratio = own / before
        gate("slowdown", ratio, limits.max_slowdown, "times the release's", "max_slowdown")
    return gates


def _median(latency: Latencies, whose: str, name: str) -> float | None:
    """Milliseconds for one image, or None where it was not measured."""
    return latency.get(whose, {}).get(name, {}).get("1", {}).get("p50")
