"""The data gate's step on a folder's images, after a release that was made of them."""

import csv
import io
import json
import shutil
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components.base.refusal import DataRefused
from components.data.artifacts_tfx import IngestReport
from components.data.ingest_tfx import ingest
from components.gates.anomalies_tfx import statistics_options
from components.gates.artifacts_tfx import DataVerdict
from components.gates.data_gate import DataGateConfig
from components.gates.data_gate_tfx import DataGate
from components.sources.config import DataConfig
from components.sources.open_source import open_source
from components.sources.source import SPLITS
from tests.helpers.images import write_class_folders

# isort: split
# TFDV cannot be imported before the stand-in that anomalies_tfx gives it.
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory

_step = DataGate.EXECUTOR_SPEC.executor_class._FUNCTION


def _artifact(kind, directory: Path):
    directory.mkdir(parents=True)
    artifact = kind()
    artifact.uri = str(directory)
    if kind is not IngestReport and kind is not DataVerdict:
        artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
    return artifact


def _gate(folder: Path, work: Path, release: Path | None) -> dict:
    """Ingest, statistics and the data gate of a folder; the gate's account and its rows."""
    report = _artifact(IngestReport, work / "report")
    source = DataConfig(source=f"folder:{folder}")
    labels = open_source(source).labels
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as p:
        ingest(p, source, labels, work, work / "report")
    (work / "report" / "labels.json").write_text(json.dumps(labels))
    statistics = _artifact(standard_artifacts.ExampleStatistics, work / "statistics")
    anomalies = _artifact(standard_artifacts.ExampleAnomalies, work / "anomalies")
    for split in SPLITS:
        place = work / "statistics" / f"Split-{split}" / "FeatureStats.pb"
        place.parent.mkdir()
        records = tf.data.TFRecordDataset(sorted(work.glob(f"Split-{split}/*")))
        table = ExamplesToRecordBatchDecoder().DecodeBatch(list(records.as_numpy_iterator()))
        found = generate_statistics_in_memory(table, statistics_options())
        place.write_bytes(found.SerializeToString())
        place = work / "anomalies" / f"Split-{split}" / "SchemaDiff.pb"
        place.parent.mkdir()
        place.write_bytes(anomalies_pb2.Anomalies().SerializeToString())
    _step(
        report=report, statistics=statistics, anomalies=anomalies,
        verdict=_artifact(DataVerdict, work / "verdict"),
        data_gate=DataGateConfig().model_dump_json(),
        schema="", accept_classes=0, release=str(release or ""), code="",
    )  # fmt: skip
    account = json.loads((work / "verdict" / "accounting.json").read_text())
    rows = json.loads((work / "verdict" / "verdict.json").read_text())
    return account | {"gates": {row["name"]: row for row in rows}}


def _named(findings: bytes) -> set[tuple[str, ...]]:
    rows = csv.DictReader(io.StringIO(findings.decode(), newline=""))
    found = [row for row in rows if row["finding"] == "relabelled"]
    return {(row["name"], row["label"], row["detail"]) for row in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_class_folders(tmp_path_factory.mktemp("released") / "photos", 60, size=16)


@pytest.fixture(scope="module")
def release(folder, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("released") / "work"
    assert "relabelled" not in _gate(folder, work, None)["gates"]
    shutil.copytree(work / "verdict" / "data", work / "3" / "data")
    return work / "3"


def _copy(folder: Path, target: Path, renamed: dict[str, str]) -> Path:
    for path in folder.iterdir():
        shutil.copytree(path, target / renamed.get(path.name, path.name))
    return target


def test_two_swapped_folders_are_refused_and_each_image_is_named(folder, release, tmp_path):
    swapped = _copy(folder, tmp_path / "photos", {"flower": "temple", "temple": "flower"})
    with pytest.raises(DataRefused) as refusal:
        _gate(swapped, tmp_path / "work", release)
    words = str(refusal.value)
    assert refusal.value.exit_code == 4
    assert "relabelled is 120 images of another class than in release 3" in words
    assert "60 images of 'flower' are 'temple' now" in words
    assert [gate["name"] for gate in refusal.value.gates if not gate["passed"]] == ["relabelled"]
    assert refusal.value.data["relabelled"] == 120
    assert len(refusal.value.data["findings"]["relabelled"]) == 100
    found = _named(refusal.value.findings)
    assert len(found) == 120
    assert ("flower/000.jpg", "flower", "was 'temple' in release 3") in found


def test_one_corrected_image_passes_and_is_named(folder, release, tmp_path):
    corrected = _copy(folder, tmp_path / "photos", {})
    (corrected / "flower" / "001.png").rename(corrected / "temple" / "right.png")
    account = _gate(corrected, tmp_path / "work", release)
    assert account["gates"]["relabelled"]["passed"] and account["relabelled"] == 1
    finding = account["findings"]["relabelled"][0]
    assert (finding["name"], finding["detail"]) == ("temple/right.png", "was 'flower' in release 3")
    found = (tmp_path / "work" / "verdict" / "findings.csv").read_bytes()
    assert _named(found) == {("temple/right.png", "temple", "was 'flower' in release 3")}


def test_a_release_of_before_the_index_is_asked_nothing(folder, release, tmp_path):
    older = tmp_path / "2"
    shutil.copytree(release / "data", older / "data")
    (older / "data" / "images.csv.gz").unlink()
    swapped = _copy(folder, tmp_path / "photos", {"flower": "temple", "temple": "flower"})
    account = _gate(swapped, tmp_path / "work", older)
    assert "relabelled" not in account["gates"] and "relabelled" not in account
