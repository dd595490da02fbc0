"""What to do with verified exports: which one to release, or why none. Framework-free.

The champion is the most accurate of the models whose exports all agree with them; of those that
chance could have put in another order it is the fastest. What is the current release already is not
pushed again, and what was rolled back from is refused: a schedule must not bring it back.
"""

import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

from components.evaluation.predictions import load_predictions, named_rightly
from components.gates.result import GateRefused, GateResult
from export.release.bundle import bundle
from export.verification.artifact_gates import artifact_gates, left_out, refusals
from export.verification.config import ExportConfig
from export.verification.records import Latencies
from serving.contract.release_files import CONTRACT, SIGNATURE, formats_of
from serving.store.release import Release, StoreError
from serving.store.signature import sign
from serving.store.store import Store

SIGNIFICANCE = 0.05
"""Two models differ where chance would make such a difference less often than that."""
LATENCY_NOISE = 0.1
"""Medians of the same network, measured twice, differ by as much."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """One framework's exports, with what its model is judged by.

    `directory` is `<output>/<framework>` of `python -m export`, `predictions` the npz of the
    model's probabilities on the split test, `metrics` those of evaluation.
    """

    directory: Path
    contract: dict
    predictions: Path
    metrics: dict


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a release is to say of its run: `arrays` and `data` are directories, `gates` those of
    all models in verdict.json's form, `code` is what `provenance.recorded` said when the run began;
    `extra` goes into the manifest as it is."""

    run_id: str
    arrays: Path
    data: Path
    gates: list[dict]
    extra: dict
    code: dict | None = None


@dataclasses.dataclass(frozen=True)
class Pushed:
    """The release that holds the champion; `unchanged` when it was there before. `why` says what
    made it the champion where another model is more accurate, else it is empty."""

    release: Release
    champion: str
    unchanged: bool
    why: str = ""


def push(
    store: Store,
    name: str,
    exports: dict[str, Exported],
    parity: list[dict],
    latency: Latencies,
    limits: ExportConfig,
    facts: Facts,
) -> Pushed:
    """Releases the champion of `exports`, by framework, under `name`.

    `parity` holds the records of parity.json, `latency` what latency.json does. Raises GateRefused
    when an artifact that is required disagrees with its source or costs too much, or the champion
    was rolled back from; StoreError when the key of `limits` signs nothing.
    """
    checks = artifact_gates(parity, latency, limits)
    if failed := refusals(checks, limits):
        raise GateRefused(failed)
    metrics = {framework: of.metrics for framework, of in exports.items()}
    right = {f: named_rightly(*load_predictions(of.predictions)) for f, of in exports.items()}
    champion = choose_champion(metrics, right, _latencies(latency))
    why = _why(champion, metrics, _latencies(latency))
    chosen = exports[champion]
    lineage = chosen.contract["lineage"]
    current = store.current(name)
    out = left_out(checks, limits)
    kept = [
        record
        for record in parity
        if record["framework"] == champion and (champion, record["artifact"]) not in out
    ]
    formats = {record["artifact"] for record in kept}
    unsigned = limits.signing_key is not None and not (current and _is_signed(current))
    if current and not unsigned and holds(current, lineage) and formats == _formats(current):
        return Pushed(current, champion, unchanged=True, why=why)
    refuse_rolled_back(store, name, lineage)
    gates = facts.gates + [gate.to_json() for gate in checks]
    with tempfile.TemporaryDirectory(prefix="darkroom-") as staging:
        directory = bundle(
            chosen.directory,
            Path(staging, "release"),
            name=name,
            run_id=facts.run_id,
            arrays=facts.arrays,
            data=facts.data,
            predictions=chosen.predictions,
            metrics=chosen.metrics,
            gates=[gate for gate in gates if gate["model"] == champion],
            parity=kept,
            latency=latency.get(champion, {}),
            code=facts.code,
            extra=facts.extra
            | {"left_out": {name: why for (whose, name), why in out.items() if whose == champion}},
        )
        if limits.signing_key is not None:
            sign(directory, limits.signing_key)
        return Pushed(store.publish(name, directory), champion, unchanged=False, why=why)


def choose_champion(
    metrics: dict[str, dict],
    right: dict[str, np.ndarray] | None = None,
    latency: dict[str, float] | None = None,
) -> str:
    """The framework whose model has the best accuracy.

    `right` says which test images each names rightly, bool (N,), the same ones for all. Models that
    McNemar's exact test cannot tell from the best (two-sided, p of 0.05 or more) tie with it, and
    so do equal ones without `right`. The lowest `latency` (milliseconds of one image in a released
    format) breaks ties where that of all of them is known and differs by more than a tenth, which
    is what it varies by, then the lowest loss, then accuracy.
    """
    best = max(metrics, key=lambda name: metrics[name]["accuracy"])
    tied = [name for name in metrics if name == best or _tie(name, best, metrics, right or {})]
    known = latency or {}
    if all(name in known for name in tied):
        fastest = min(known[name] for name in tied)
        tied = [name for name in tied if known[name] <= (1 + LATENCY_NOISE) * fastest]
    return min(tied, key=lambda name: (metrics[name]["loss"], -metrics[name]["accuracy"]))


def _why(champion: str, metrics: dict[str, dict], latency: dict[str, float]) -> str:
    best = max(metrics, key=lambda name: metrics[name]["accuracy"])
    if metrics[best]["accuracy"] == metrics[champion]["accuracy"]:
        return ""
    times = latency.get(champion, 0.0), latency.get(best, 0.0)
    faster = 0 < times[0] * (1 + LATENCY_NOISE) < times[1]
    reason = (
        f"it is faster ({times[0]:.2g} against {times[1]:.2g} ms an image)"
        if faster
        else f"its loss is lower ({metrics[champion]['loss']:.4g} against "
        f"{metrics[best]['loss']:.4g})"
    )
    accuracy = metrics[best]["accuracy"]
    return f"{best}'s {accuracy:.4f} is better by no more than chance, and {reason}"


def _tie(name: str, best: str, metrics: dict[str, dict], right: dict[str, np.ndarray]) -> bool:
    if not (name in right and best in right):
        return metrics[name]["accuracy"] == metrics[best]["accuracy"]
    only_this = int((right[name] & ~right[best]).sum())
    only_best = int((right[best] & ~right[name]).sum())
    if only_this == only_best:  # binomtest wants a trial at least
        return True
    test = stats.binomtest(only_this, only_this + only_best)
    return float(test.pvalue) >= SIGNIFICANCE


def _latencies(latency: Latencies) -> dict[str, float]:
    """Milliseconds of one image in ONNX by framework, the median, where it was measured."""
    found = {}
    for framework, of in latency.items():
        median = of.get("onnx", {}).get("1", {}).get("p50")
        if median is not None:
            found[framework] = float(median)
    return found


def _is_signed(release: Release) -> bool:
    return (release.path / SIGNATURE).exists()


def _formats(release: Release) -> set[str]:
    return {row.name for row in formats_of(release.manifest())}


def holds(release: Release, lineage: str) -> bool:
    """Whether the release is whole and holds the model of this lineage."""
    try:
        release.verify()
    except StoreError:
        return False
    return release.contract()["lineage"] == lineage


def refuse_rolled_back(store: Store, name: str, lineage: str) -> None:
    """Raises GateRefused when this very model is a release newer than the current one: somebody
    rolled back from it."""
    current = store.current(name)
    for release in store.releases(name):
        if current and release.version > current.version and holds(release, lineage):
            gate = GateResult(
                name="rolled_back",
                expected=f"a model other than release {release.version}, which was rolled back "
                f"from (python -m serving.store rollback {name} {release.version} restores it)",
                received=f"the same model ({lineage})",
                passed=False,
            )
            raise GateRefused([gate])


def read_exported(directory: Path, predictions: Path, metrics: dict) -> Exported:
    """`Exported` of a folder that `python -m export` wrote."""
    contract = json.loads((directory / CONTRACT).read_text())
    return Exported(directory, contract, predictions, metrics)
