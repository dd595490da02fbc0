"""What to do with verified exports: which one to release, or why none. Framework-free.

The champion is the most accurate of the models whose exports all agree with them; of those that
chance could have put in another order it is the fastest. What was released already is not pushed
again, and what was rolled back from is refused: a schedule must not bring it back.
"""

import contextlib
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

from components.evaluation.predictions import load_predictions, named_rightly
from components.gates.result import GateRefused, GateResult
from export.release.bundle import bundle
from export.release.config import ReleaseConfig
from export.release.neighbours import TrainingFeatures
from export.verification.artifact_gates import artifact_gates, left_out, refusals
from export.verification.config import ExportConfig
from export.verification.records import Latencies
from serving.contract.release_files import CONTRACT, NEIGHBOURS, SIGNATURE, formats_of
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
    model's probabilities on the split test, `metrics` those of evaluation. `finetuned`: a
    pretrained backbone is no longer what it was.
    """

    directory: Path
    contract: dict
    predictions: Path
    metrics: dict
    finetuned: bool = False


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a release is to say of its run: `arrays` and `data` are directories, `gates` those of
    all models in verdict.json's form, `code` is what `provenance.recorded` said when the run began;
    `extra` goes into the manifest as it is, but for its `backbone`, which the champion's
    fine-tuning may have left alone. `neighbours` are of the pretrained backbone's own features, and
    released with a model that has them."""

    run_id: str
    arrays: Path
    data: Path
    gates: list[dict]
    extra: dict
    code: dict | None = None
    neighbours: TrainingFeatures | None = None


@dataclasses.dataclass(frozen=True)
class Pushed:
    """The release that holds the champion; `unchanged` when it was current before, `again` when it
    was once. `why` says what made it the champion where another model is more accurate, else it is
    empty. `removed` are the versions that retention took away."""

    release: Release
    champion: str
    unchanged: bool
    again: bool = False
    why: str = ""
    removed: tuple[int, ...] = ()


def push(
    store: Store,
    name: str,
    exports: dict[str, Exported],
    parity: list[dict],
    latency: Latencies,
    limits: ExportConfig,
    kept: ReleaseConfig,
    facts: Facts,
) -> Pushed:
    """Releases the champion of `exports`, by framework, under `name`.

    `parity` holds the records of parity.json, `latency` what latency.json does. Raises GateRefused
    when an artifact that is required disagrees with its source or costs too much, or the champion
    was rolled back from; StoreError when the key of `kept` signs nothing.
    """
    checks = artifact_gates(parity, latency, limits)
    if failed := refusals(checks, limits):
        raise GateRefused(failed)
    metrics = {framework: of.metrics for framework, of in exports.items()}
    right = {f: named_rightly(*load_predictions(of.predictions)) for f, of in exports.items()}
    champion = choose_champion(metrics, right, _latencies(latency))
    why = _why(champion, metrics, _latencies(latency))
    chosen = exports[champion]
    out = left_out(checks, limits)
    records = [
        record
        for record in parity
        if record["framework"] == champion and (champion, record["artifact"]) not in out
    ]
    gates = facts.gates + [gate.to_json() for gate in checks]
    formats = {record["artifact"] for record in records}
    with_neighbours = kept.neighbours and "onnx" in formats and not chosen.finetuned
    neighbours = facts.neighbours if with_neighbours else None

    def publish() -> Release:
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
                parity=records,
                latency=latency.get(champion, {}),
                code=facts.code,
                extra=_extra(facts, chosen)
                | {"left_out": {kind: why for (of, kind), why in out.items() if of == champion}},
                neighbours=neighbours,
            )
            if kept.signing_key is not None:
                sign(directory, kept.signing_key)
            return store.publish(name, directory)

    with store.exclusive():  # others push, or roll back, before this or after it
        lineage = chosen.contract["lineage"]
        signed = kept.signing_key is not None
        same = _released(store, name, lineage, formats, signed, neighbours is not None)
        unchanged = same is not None and same == store.current(name)
        if not unchanged:
            refuse_rolled_back(store, name, lineage)
        if same is None:
            release = publish()
        else:
            release = store.promote(name, same.version)  # nothing where it is current
        removed = tuple(store.prune(name, kept.keep, spare=_best(store, name)))
    again = same is not None and not unchanged
    return Pushed(release, champion, unchanged, again, why, removed)


def _extra(facts: Facts, chosen: Exported) -> dict:
    backbone = facts.extra.get("backbone")
    if backbone is None or chosen.finetuned:
        return facts.extra
    return facts.extra | {"backbone": backbone | {"trained_layers": 0}}


def _released(
    store: Store, name: str, lineage: str, formats: set[str], signed: bool, neighbours: bool
) -> Release | None:
    """The newest whole release of this model in these formats, with `neighbours` or without, if
    there is one."""
    for release in reversed(store.releases(name)):
        if holds(release, lineage) and formats == _formats(release):
            is_signed, has_neighbours = (
                (release.path / file).exists() for file in (SIGNATURE, NEIGHBOURS)
            )
            if has_neighbours == neighbours and (is_signed or not signed):
                return release
    return None


def _best(store: Store, name: str) -> list[int]:
    """The version that was most accurate on its own test split: the gates hold new models against
    it, or every release could be a little worse than the one before."""
    accuracies = {}
    for release in store.line(name):
        with contextlib.suppress(StoreError, KeyError, TypeError, ValueError):
            accuracies[release.version] = float(release.manifest()["metrics"]["accuracy"])
    return [max(accuracies, key=lambda version: accuracies[version])] if accuracies else []


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


def _formats(release: Release) -> set[str]:
    return {row.name for row in formats_of(release.manifest())}


def holds(release: Release, lineage: str) -> bool:
    """Whether the release is whole and holds the model of this lineage."""
    try:
        if release.contract().get("lineage") != lineage:
            return False
        release.verify()
    except StoreError:
        return False
    return True


def refuse_rolled_back(store: Store, name: str, lineage: str) -> None:
    """Raises GateRefused when somebody rolled back from this very model, whatever was released
    since, and whether its release is still there or was removed."""
    there = {release.version for release in store.releases(name)}
    for version, of in store.rolled_back(name).items():
        if of != lineage:
            continue
        restore = f"python -m serving.store rollback {name} {version} restores it"
        gone = "that release was removed since; another seed gives another model"
        gate = GateResult(
            name="rolled_back",
            expected=f"a model other than release {version}, which was rolled back from "
            f"({restore if version in there else gone})",
            received=f"the same model ({lineage})",
            passed=False,
        )
        raise GateRefused([gate])


def read_exported(
    directory: Path, predictions: Path, metrics: dict, finetuned: bool = False
) -> Exported:
    """`Exported` of a folder that `python -m export` wrote."""
    contract = json.loads((directory / CONTRACT).read_text())
    return Exported(directory, contract, predictions, metrics, finetuned)
