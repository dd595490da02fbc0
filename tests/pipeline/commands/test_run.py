"""Around the DAG: what is refused before anything runs, and what a run leaves."""

import numpy as np
import pytest

from components.base.refusal import ConfigError, DataRefused
from components.sources.digits_source import DigitsSource
from components.sources.folder_source import FolderSource
from components.training.checkpoint import Checkpoints
from pipeline.commands.run import _drop_checkpoints
from pipeline.configuration import presets
from pipeline.configuration.overrides import override
from pipeline.line.inputs import classes, schema_text
from pipeline.line.output_root import check_outside
from pipeline.line.steps import Step
from pipeline.outcome.verdict import Verdict, last_verdict, point_latest
from serving.store.store import Store
from tests.helpers.serving_fixtures import two_releases


@pytest.fixture
def store(tmp_path) -> Store:
    """Two releases of `digits`, the second one current."""
    return two_releases(tmp_path)


def _verdict(**values) -> Verdict:
    given = {"status": "released", "exit_code": 0, "version": 2, "current": 2, "fingerprint": "f"}
    return Verdict(run_id="1", preset="digits", name="digits", **given | values)


def test_other_classes_than_the_releases_are_refused_until_accepted(store, tmp_path):
    for name in (*"012345678", "eleven"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_bytes(b"never opened")
    other = FolderSource(str(tmp_path / "images"))
    config, current = presets.digits(), store.current("digits")
    with pytest.raises(DataRefused, match="new: eleven; missing: 9"):
        classes(config, other, current)
    accepted = classes(override(config, {"data.accept_classes": "true"}), other, current)
    assert accepted == (*"012345678", "eleven")
    assert classes(config, DigitsSource(), current) == tuple("0123456789")
    assert classes(config, other, None) == other.labels


def test_a_schema_that_is_none_is_a_configuration_error(tmp_path):
    good, bad = tmp_path / "good.pbtxt", tmp_path / "bad.pbtxt"
    good.write_text('feature { name: "mean" type: FLOAT }')
    bad.write_text("feature: [")
    assert schema_text(str(good)) == good.read_text() and schema_text(None) == ""
    for path in (bad, tmp_path / "absent"):
        with pytest.raises(ConfigError, match="Bad value for data.schema"):
            schema_text(str(path))


def test_an_output_root_among_the_images_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for root in (tmp_path, tmp_path / "out"):
        with pytest.raises(ConfigError, match="lies inside the image folder"):
            check_outside(root, f"folder:{tmp_path / 'link'}")
    check_outside(tmp_path.parent / "out", f"folder:{tmp_path}")
    check_outside(tmp_path, "digits")


def test_the_last_verdict_is_the_newest_of_that_name_and_survives_torn_files(tmp_path):
    for run_id, name in (("1", "digits"), ("2", "digits"), ("3", "mnist")):
        (tmp_path / run_id).mkdir()
        Verdict(run_id=run_id, preset=name, name=name).write(tmp_path / run_id)
        point_latest(tmp_path, run_id)
    (tmp_path / "4").mkdir()
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "verdict.json").write_text('{"name": "dig')
    assert last_verdict(tmp_path, "digits").run_id == "2"
    assert last_verdict(tmp_path, "cifar10") is None
    assert (tmp_path / "latest").resolve() == tmp_path / "3"


def test_nan_and_infinity_become_null_because_the_file_is_strict_json(tmp_path):
    _verdict(models={"keras": {"loss": float("nan"), "all": [float("inf"), 1.5]}}).write(tmp_path)
    text = (tmp_path / "verdict.json").read_text()
    assert '"loss": null' in text and "NaN" not in text and "Infinity" not in text


@pytest.mark.parametrize("cached, kept", [(False, ["torch"]), (True, ["keras", "torch"])])
def test_a_published_training_drops_its_checkpoints_and_a_cached_one_those_of_nobody(
    tmp_path, cached, kept
):
    for framework in ("keras", "torch"):
        Checkpoints(tmp_path / framework, "any").save(1, {"x": np.zeros(3)}, {})
    _drop_checkpoints(tmp_path, Step("train_keras", 1.0, cached, "", {"model": "somewhere"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_a_training_that_stopped_the_run_keeps_its_checkpoints(tmp_path):
    Checkpoints(tmp_path / "keras", "any").save(1, {"x": np.zeros(3)}, {})
    _drop_checkpoints(tmp_path, Step("train_keras", 1.0, False, "stopped the run"))
    assert Checkpoints(tmp_path / "keras", "any").latest() is not None
