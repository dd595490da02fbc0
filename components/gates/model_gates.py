"""Model gates: what a model must reach before it may be released. Needs no framework, no NumPy."""

from collections.abc import Iterable

from components.gates.accuracy_gates import AccuracyLimits, accuracy_gates
from components.gates.calibration_gate import CalibrationLimit, calibration_gate
from components.gates.change_gate import ChangeLimits, change_gates
from components.gates.class_gates import ClassLimits, class_gates
from components.gates.comparison import Comparison as Comparison
from components.gates.result import GateResult
from components.gates.robustness_gate import RobustnessLimit, robustness_gate


class GatesConfig(RobustnessLimit, CalibrationLimit, ChangeLimits, ClassLimits, AccuracyLimits):
    """What a model must reach, each limit beside the gate that it is for."""


def judge(
    framework: str, metrics: dict, comparisons: Iterable[Comparison], config: GatesConfig
) -> list[GateResult]:
    """All gates of one model; every one that fails refuses it.

    `metrics` is what evaluation left in metrics.json; what a gate needs of it and does not find
    fails that gate. `comparisons` are empty before the first release.
    """
    return [
        *accuracy_gates(framework, metrics, config),
        *class_gates(framework, metrics, config),
        *calibration_gate(framework, metrics, config),
        *robustness_gate(framework, metrics, config),
        *change_gates(framework, metrics, comparisons, config),
    ]
