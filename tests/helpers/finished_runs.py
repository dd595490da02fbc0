"""The directories of finished runs, judged by the real gates, for the commands that read them."""

from pathlib import Path

from components.gates.comparison import Comparison
from components.gates.model_gates import judge
from export.verification.artifact_gates import artifact_gates, left_out, refusals
from pipeline.configuration import presets
from pipeline.configuration.overrides import as_arguments, override
from pipeline.outcome.verdict import CONFIGURATION, Verdict, point_latest

RUN = "20260101-101010-000001"


def _records(framework: str, accuracy: float, difference: float) -> list[dict]:
    """Of two formats at two batch sizes, of which int8 disagrees too often."""
    return [
        {
            "framework": framework, "artifact": name, "batch": batch, "error": None,
            "max_difference": difference, "mean_difference": difference / 100,
            "agreement": agreement, "accuracy": accuracy,
            "source_accuracy": accuracy, "bytes": 345_678, "images": 400,
        }
        for name, agreement in (("onnx", 1.0), ("tflite_int8", 0.97))
        for batch in (1, 7)
    ]  # fmt: skip


def finished(
    root: Path,
    accuracies: dict[str, float | None],
    settings: dict[str, str] | None = None,
    difference: float = 3e-7,
    run_id: str = RUN,
    comparisons: tuple[Comparison, ...] = (),
) -> Path:
    """A run of the digits, of models with these accuracies; artifacts of blessed ones differ by
    `difference` from their sources."""
    config = override(presets.digits(), {"root": str(root), **(settings or {})})
    verdict = Verdict(run_id, "digits", "digits", seconds=83.2)
    verdict.gates = [
        {
            "name": "quarantined", "expected": "at most 1.00% (data_gate.max_quarantined)",
            "received": "0.00%", "passed": True, "model": None, "artifact": None,
        }
    ]  # fmt: skip
    refused = []
    for framework, accuracy in accuracies.items():
        right = round(200 * (accuracy or 0))
        metrics = {
            "accuracy": accuracy, "loss": 0.25, "images": 400, "robustness": {"noise": 0.81},
            "calibration": {"temperature": 1.9, "error": 0.012, "error_before": 0.071},
            "confusion_matrix": [[right, 200 - right], [200 - right, right]],
            "per_class": {n: {"recall": right / 200, "precision": right / 200} for n in "01"},
        }  # fmt: skip
        own = judge(framework, metrics, comparisons, config.gates)
        verdict.comparisons[framework] = [other.to_json() for other in comparisons]
        blessed = all(gate.passed for gate in own)
        verdict.models[framework] = {
            "accuracy": accuracy, "loss": 0.25, "blessed": blessed, "best_epoch": 3, "epochs": 5,
            "train_seconds": 12.0, "device": "cpu", "metrics": metrics,
        }  # fmt: skip
        records = _records(framework, accuracy, difference) if blessed else []
        checks = artifact_gates(records, {}, config.export)
        wrong = refusals(checks, config.export)
        out = left_out(checks, config.export)
        passed = [gate for gate in checks if gate.passed]
        refused += [gate for gate in own if not gate.passed] + wrong
        verdict.gates += [gate.to_json() for gate in (*own, *passed, *wrong)]
        verdict.artifacts += [
            {
                "model": framework, "artifact": record["artifact"], "title": record["artifact"],
                "bytes": record["bytes"], "images": 400, "accuracy": record["accuracy"],
                "max_difference": record["max_difference"], "agreement": record["agreement"],
                "passed": not wrong, "latency": {"1": {"p50": 0.12, "p99": 0.2}},
                "left_out": out.get((framework, record["artifact"])),
            }
            for record in records[::2]
        ]  # fmt: skip
    good = any(model["blessed"] for model in verdict.models.values()) and difference < 1e-4
    verdict.status, verdict.exit_code = ("released", 0) if good else ("refused", 3)
    verdict.sentence = "; ".join(gate.sentence() for gate in refused) or "All is well."
    directory = root / "runs" / run_id
    directory.mkdir(parents=True)
    verdict.write(directory)
    (directory / CONFIGURATION).write_text("\n".join(as_arguments(config)) + "\n")
    (directory / "report.html").write_text("<p>")
    point_latest(root / "runs", run_id)
    return directory
