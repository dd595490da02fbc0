"""Two hundred silent faults, each refused by a named gate, and two hundred clean exports, of which
none is: files on the disk, through the verification and the push of a run.

Each fault once and five clean exports in every run of the tests, the others in `make test-full`,
where each fault's verification has its own process, as in a run.
"""

import dataclasses
import functools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.gates.result import GateRefused
from export.release.config import ReleaseConfig
from export.release.push import Facts, push, read_exported
from export.verification import parity
from export.verification.config import ExportConfig
from export.verification.verify import judge, verify_artifact
from serving.contract.release_files import FORMATS
from serving.store.store import Store
from tests.helpers import small_nets
from tests.helpers.export_data import transform_graph
from tests.helpers.fault_site import Site
from tests.helpers.faults import FAULTS, Fault
from tests.helpers.small_nets import SmallNet

LIMITS = ExportConfig()
METRICS = {"accuracy": 0.9, "loss": 0.1}
LIGHT = ("onnxruntime", "litert")
"""Runtimes that start in a third of a second; TensorFlow and PyTorch take seconds."""
LIGHT_FORMATS = tuple(name for name, row in FORMATS.items() if row.runtime in LIGHT)


@dataclasses.dataclass(frozen=True)
class Base:
    """A network whose export is spoilt. It gives logits of several classes, so that two can be
    swapped and the softmax be dropped."""

    seed: int
    kind: str
    framework: str
    classes: int
    temperature: float
    formats: tuple[str, ...]
    channels: int = 3

    def network(self):
        fixed = {"kind": self.kind, "framework": self.framework, "classes": self.classes}
        return small_nets.drawn(self.seed, **fixed, channels=self.channels, logits=True)

    def has(self, artifact: str) -> bool:
        row = FORMATS[artifact]
        return self.framework in row.sources and row.from_grey == (self.channels == 1)


BASES = {
    "light": Base(3, "digits", "keras", 7, 1.6, LIGHT_FORMATS),
    "keras": Base(8, "digits", "keras", 5, 0.7, tuple(FORMATS)),
    "residual": Base(2, "residual", "keras", 11, 1.3, tuple(FORMATS)),
    "torch": Base(5, "tiny", "torch", 9, 1.5, tuple(FORMATS)),
    "grey": Base(7, "strided", "keras", 6, 1.2, ("tflite_rgb", "onnx"), channels=1),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Clean exports by name, each with one of another run beside it, made when first asked for."""

    @functools.cache
    def base(name: str) -> tuple[SmallNet, SmallNet]:
        directory, described = tmp_path_factory.mktemp(name), BASES[name]
        graph = None
        if "saved_model" in described.formats:
            graph = transform_graph(directory / "transform", described.network().spec)
        found = []
        for run, seed in (("this", described.seed), ("other", described.seed + 1000)):
            made = small_nets.make(
                directory / run, described.network(), seed, temperature=described.temperature
            )
            names = small_nets.export(made, described.formats, graph)
            light = [artifact for artifact in names if artifact in LIGHT_FORMATS]
            assert all(record["passed"] for artifact in light for record in judged(made, artifact))
            found.append(made)
        return found[0], found[1]

    return base


def each_fault_once() -> list[tuple[str, str, str]]:
    """In files of formats that open quickly; of those another one for each fault."""
    found = []
    for number, fault in enumerate(FAULTS.values()):
        light = [n for n in fault.formats if n in LIGHT_FORMATS and BASES["light"].has(n)]
        if light:
            found.append(("light", light[number % len(light)], fault.name))
    return found


def each_fault_in_each_format() -> list[tuple[str, str, str]]:
    """(base, format, fault), the bases in turn."""
    found = []
    for fault, artifact in ((f, name) for f in FAULTS.values() for name in f.formats):
        having = [name for name, base in list(BASES.items())[1:] if base.has(artifact)]
        found.append((having[len(found) % len(having)], artifact, fault.name))
    return sorted(found)


HERE = each_fault_once()
FULL = each_fault_in_each_format()


@pytest.mark.parametrize(
    "base, artifact, name",
    HERE + [pytest.param(*case, marks=pytest.mark.full) for case in FULL],
)
def test_a_silent_fault_is_refused_by_a_named_gate(bases, tmp_path, base, artifact, name):
    fault = FAULTS[name]
    clean, other = bases(base)
    made = copy(clean, artifact, tmp_path / "made")
    site, rng = (
        Site(made, artifact, other),
        np.random.default_rng([BASES[base].seed, *name.encode()]),
    )
    try:
        verified = judged if base == "light" else judged_by_a_process
        refused = sent_through(site, fault, rng, Store(tmp_path / "serving"), verified)
    except LookupError as nothing:
        pytest.skip(str(nothing))  # say, a file of reduced precision that is not reduced
    print(f"{base} {artifact}: {name}: {refused}")
    assert re.search(fault.says, refused), refused
    if "bundle" in fault.gates:
        assert "export" in refused, refused  # what to do about it
    else:
        assert any(f"{gate} is" in refused for gate in fault.gates), refused


def copy(clean: SmallNet, artifact: str, target: Path) -> SmallNet:
    """What is needed of the clean export to verify and release this artifact."""
    others = {FORMATS[n].file for n in ("saved_model", "keras", "safetensors", "torch_program")}
    ignored = others - {FORMATS[artifact].file}

    def of_exports(directory: str, names: list[str]) -> set[str]:
        return ignored & set(names) if Path(directory) == clean.exports else set()

    shutil.copytree(clean.directory, target, ignore=of_exports)
    return clean.moved(target)


def sent_through(site: Site, fault: Fault, rng: np.random.Generator, store: Store, verified) -> str:
    """The sentence by which the spoilt artifact is kept out of the release. A reduced precision
    goes with the float32 file, which is then released without it."""
    made, artifact = site.made, site.artifact
    optional = FORMATS[artifact].optional
    records = judged(made, "onnx") if optional else []
    done = "" if fault.verified else fault.spoil(site, rng)
    records += verified(made, artifact)
    done = fault.spoil(site, rng) if fault.verified else done
    try:
        released = pushed(store, made, records).release
    except (GateRefused, ValueError) as refused:
        assert not store.models()
        assert getattr(refused, "exit_code", 1) == (1 if fault.verified else 3)
        return str(refused)
    manifest = released.manifest()
    if not optional or artifact in manifest["formats"]:
        pytest.fail(f"{artifact} was released ({done}): {records[-1]}")
    assert not FORMATS[artifact].in_release(released.path).exists()
    return manifest["left_out"][artifact]


def judged(made: SmallNet, artifact: str) -> list[dict]:
    """As `judged_by_a_process`, in this one."""
    framework = {"framework": made.network.framework}
    measured = parity.measure(small_nets.parity_args(made, artifact))
    return [judge(framework | record, LIMITS) for record in measured]


def judged_by_a_process(made: SmallNet, artifact: str) -> list[dict]:
    args = small_nets.parity_args(made, artifact)
    return verify_artifact(args, made.network.framework, LIMITS)


def pushed(store: Store, made: SmallNet, records: list[dict]):
    data = made.directory / "data"
    data.mkdir(exist_ok=True)
    exported = read_exported(made.exports, made.predictions / "test.npz", METRICS)
    facts = Facts("run", made.arrays, data, [], {})
    models, kept = {made.network.framework: exported}, ReleaseConfig()
    return push(store, "small", models, records, {}, LIMITS, kept, facts)


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(5, 200))]
)
def test_a_clean_export_is_released(tmp_path, seed, left_out):
    """Any size, channels, classes and kind of network; every fifth one's weights are random, so
    that many of its answers are close to another."""
    in_full = seed >= 5
    framework = "torch" if seed % 25 == 24 else "keras"
    made = small_nets.make(
        tmp_path / "made", small_nets.drawn(seed, framework=framework), seed,
        trained=bool(seed % 5), temperature=(1.0, 1.0, 1.7, 0.6)[seed % 4],
    )  # fmt: skip
    few = LIGHT_FORMATS if in_full else ("tflite", "tflite_int8", "onnx", "onnx_int8")
    all_of_them = in_full and seed % 12 == 0 or framework == "torch"
    records = []
    for artifact in small_nets.export(made, tuple(FORMATS) if all_of_them else few):
        if FORMATS[artifact].runtime in LIGHT:
            records += judged(made, artifact)
        else:
            records += judged_by_a_process(made, artifact)
    assert not [record for record in records if record["error"]]
    manifest = pushed(Store(tmp_path / "serving"), made, records).release.manifest()
    for artifact in dict.fromkeys(record["artifact"] for record in records):
        assert artifact in manifest["formats"] or FORMATS[artifact].optional
        left_out.setdefault(artifact, []).append(artifact not in manifest["formats"])


@pytest.fixture(scope="module")
def left_out() -> Iterator[dict[str, list[bool]]]:
    """By format, of each clean export whether it was left out; printed at the end (pytest -s)."""
    found: dict[str, list[bool]] = {}
    yield found
    for artifact, of in found.items():
        print(f"\nclean {artifact}: {len(of)}, {sum(of)} of them left out", end="")
