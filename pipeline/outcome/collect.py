"""From what the steps left to the verdict: status, sentence and numbers."""

import json
import logging

from components.base.refusal import DataRefused, Refusal
from components.gates.comparison import COMPARISONS
from components.gates.result import GateRefused, GateResult
from components.networks.network import FRAMEWORKS
from export.verification.artifact_gates import artifact_gates, format_of, left_out
from export.verification.config import ExportConfig
from export.verification.records import LATENCY, PARITY, Latencies
from pipeline.line.interruption import Interrupted
from pipeline.line.steps import INTERRUPTED, Outputs, Step
from pipeline.outcome.unfinished import as_row
from pipeline.outcome.verdict import EXIT_INTERNAL, EXIT_OK, Verdict
from serving.contract.release_files import CONTRACT, FORMATS

FEW = 500
"""Images below which the accuracy by cross-validation stands beside that of the test split."""


def collect(
    verdict: Verdict, limits: ExportConfig, steps: list[Step], error: BaseException | None
) -> None:
    """Fills `verdict` from the steps and the error that ended the run, if any."""
    outputs = Outputs(steps)
    verdict.steps = [as_row(step) for step in steps]
    verdict.data = outputs.read("ingest", "report", "accounting.json", {})
    verdict.data |= outputs.read("data_gate", "verdict", "accounting.json", {})
    if verdict.data:
        verdict.data["balance"] = outputs.read("augment", "plan", "balance.json", None)
    verdict.gates = [
        *outputs.read("data_gate", "verdict", "verdict.json", []),
        *outputs.read("gates", "verdict", "verdict.json", []),
    ]
    verdict.comparisons = outputs.read("gates", "verdict", COMPARISONS, {})
    for framework in FRAMEWORKS:
        verdict.models |= _model(framework, outputs, verdict.gates)
    verdict.contract = _contract(outputs)
    verdict.cross_validation = outputs.read(
        "cross_validate", "validation", "cross_validation.json", {}
    )
    parity = outputs.read("export", "exports", PARITY, [])
    latency = outputs.read("export", "exports", LATENCY, {})
    checks = artifact_gates(parity, latency, limits)
    # What is left out did not pass, and refused nothing.
    verdict.gates += [check.to_json() for check in checks if _decides(check, limits)]
    verdict.artifacts = _artifacts(parity, latency, left_out(checks, limits))
    release = outputs.read("push", "pushed", "release.json", None)
    if error is None and release:
        _released(verdict, release)
    else:
        _stopped(verdict, steps, error)
    verdict.warnings = gate_warnings(verdict.gates)


def gate_warnings(gates: list[dict]) -> list[str]:
    """What they say of models that they let pass."""
    return [gate["warning"] for gate in gates if gate.get("warning")]


def _model(framework: str, outputs: Outputs, gates: list[dict]) -> dict:
    """`{framework: {...}}` once it is trained; accuracies are on the test split."""
    result = outputs.read(f"train_{framework}", "model_run", "result.json", None)
    if result is None:
        return {}
    metrics = outputs.read(f"evaluate_{framework}", "evaluation", "metrics.json", {})
    own = [gate for gate in gates if gate["model"] == framework]
    return {
        framework: {
            "accuracy": metrics.get("accuracy"),
            "loss": metrics.get("loss"),
            "blessed": bool(own) and all(gate["passed"] for gate in own),
            **{k: v for k, v in result.items() if k != "framework"},
            "metrics": metrics,
            "history": outputs.read(f"train_{framework}", "model_run", "history.json", []),
        }
    }


def _contract(outputs: Outputs) -> dict:
    """What models take and give, once images are packed; `models` holds the lineage and the
    temperature of those that were exported."""
    spec = outputs.read("pack", "arrays", "image_spec.json", None)
    if spec is None:
        return {}
    exported, exports = {}, outputs.directory("export", "exports")
    for framework in FRAMEWORKS:
        if exports is not None and (exports / framework / CONTRACT).is_file():
            own = json.loads((exports / framework / CONTRACT).read_text())
            exported[framework] = {key: own.get(key) for key in ("lineage", "temperature")}
    labels = outputs.read("pack", "arrays", "labels.json", [])
    return {"image_spec": spec, "labels": labels, "models": exported}


def _decides(check: GateResult, limits: ExportConfig) -> bool:
    return check.passed or limits.is_required(format_of(check))


def _artifacts(
    parity: list[dict], latency: Latencies, out: dict[tuple[str, str], str]
) -> list[dict]:
    """One row per framework and artifact: the worst of its batch sizes, its latency, and why it is
    left out of the release, if it is."""
    rows: dict[tuple[str, str], dict] = {}
    for record in parity:
        framework, name = record["framework"], record["artifact"]
        row = rows.setdefault(
            (framework, name),
            {
                "model": framework,
                "artifact": name,
                "title": FORMATS[name].title,
                "bytes": record["bytes"],
                "images": 0,
                "accuracy": None,
                "max_difference": 0.0,
                "mean_difference": 0.0,
                "agreement": 1.0,
                "passed": True,
                "latency": latency.get(framework, {}).get(name),
                "left_out": out.get((framework, name)),
            },
        )
        measured = not record["error"]
        difference = record["max_difference"] if measured else float("inf")
        row["max_difference"] = max(row["max_difference"], difference)
        mean = record["mean_difference"] if measured else float("inf")
        row["mean_difference"] = max(row["mean_difference"], mean)
        row["agreement"] = min(row["agreement"], record["agreement"] if measured else 0.0)
        row["passed"] = row["passed"] and record["passed"]
        if record["images"] >= row["images"]:  # all of them are run at the last size
            row["images"], row["accuracy"] = record["images"], record["accuracy"]
    return list(rows.values())


def _released(verdict: Verdict, release: dict) -> None:
    verdict.exit_code = EXIT_OK
    verdict.version, verdict.champion = release["version"], release["champion"]
    verdict.release = release["path"]
    accuracy = verdict.models[verdict.champion]["accuracy"]
    count = sum(not row["left_out"] for row in verdict.artifacts)
    artifacts = f"{count} artifacts verified against their sources"
    if count == 1:
        artifacts = "1 artifact verified against its source"
    why = f"; {release['why']}" if release.get("why") else ""
    out = [name for name, model in verdict.models.items() if not model["blessed"]]
    left_out = f"; {' and '.join(out)} did not pass the gates and is left out" if out else ""
    if release["unchanged"]:
        verdict.status = "unchanged"
        verdict.sentence = (
            f"The champion ({verdict.champion}, accuracy {accuracy:.4f}) is release "
            f"{verdict.version} of {verdict.name} already; nothing new to push{why}{left_out}"
            f"{_removed(release)}."
        )
    else:
        verdict.status = "released"
        again = " is current again" if release.get("again") else ""
        verdict.sentence = (
            f"{verdict.name} version {verdict.version}{again}: {verdict.champion} with test "
            f"accuracy {accuracy:.4f}{cross_validated(verdict.cross_validation)}, "
            f"{artifacts}{why}{left_out}{_removed(release)}."
        )


def cross_validated(found: dict) -> str:
    """What is added to the accuracy of a small test split, which says little by itself."""
    if not found or found["images"] >= FEW:
        return ""
    interval = f"95% interval {found['low']:.4f} to {found['high']:.4f}"
    return f" ({found['accuracy']:.4f} by cross-validation of all images, {interval})"


def _removed(release: dict) -> str:
    versions = [str(version) for version in release.get("removed", ())]
    if not versions:
        return ""
    many = "versions" if len(versions) > 1 else "version"
    return f"; {many} {', '.join(versions)} removed (release.keep)"


def collect_refusal(verdict: Verdict, error: DataRefused | GateRefused) -> None:
    """Fills `verdict` from a refusal: its sentence, its gates and, of data, the accounting."""
    verdict.status, verdict.sentence = "refused", str(error)
    verdict.exit_code = error.exit_code
    verdict.data |= getattr(error, "data", {})
    known = {_of(gate) for gate in verdict.gates}
    verdict.gates += [gate for gate in error.gates if _of(gate) not in known]


def collect_interruption(verdict: Verdict, error: Interrupted, step: str = "") -> None:
    """Fills `verdict` from a signal that ended the run, within `step` if any."""
    verdict.status, verdict.exit_code = "failed", error.exit_code
    during = f" during {step}" if step else ""
    verdict.sentence = (
        f"Interrupted by {error}{during}: the same command goes on from the last finished step."
    )


def _of(gate: dict) -> tuple:
    return gate["name"], gate["model"], gate["artifact"], gate.get("scope")


def _stopped(verdict: Verdict, steps: list[Step], error: BaseException | None) -> None:
    if isinstance(error, (DataRefused, GateRefused)):
        return collect_refusal(verdict, error)
    if isinstance(error, Interrupted):
        running = [step.name for step in steps if step.why == INTERRUPTED]
        return collect_interruption(verdict, error, " and ".join(running))
    logging.error("The run failed", exc_info=error)
    verdict.status = "failed"
    verdict.exit_code = error.exit_code if isinstance(error, Refusal) else EXIT_INTERNAL
    # TFX and Beam put a stack into the message; its last line is what happened.
    lines = str(error or "it ended without a release or a refusal").strip().splitlines()
    reason = lines[-1].strip() if lines else type(error).__name__
    where = f"Step {steps[-1].name} failed: " if steps else ""
    verdict.sentence = f"{where}{reason}"
    return None
