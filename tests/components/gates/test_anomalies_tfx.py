"""TFDV's checks on the statistics of real images: what changed since the release stops a run."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.data.examine import examine
from components.gates.anomalies_tfx import (
    ENOUGH,
    check_drift,
    check_schema,
    infer_schema,
    parse_schema,
    restrict_classes,
    tfdv,
)
from components.gates.data_gate import DataGateConfig
from components.sources.config import DataConfig
from components.sources.digits_source import DigitsSource
from components.sources.source import RawImage
from tests.helpers.images import encode

LABELS = list("0123456789")
CONFIG = DataGateConfig()


def _statistics(change=None, rows=slice(None), classes=LABELS, format="PNG", labels=range(10)):
    """TFDV's statistics of the digits (`rows` of 600), each picture changed by `change`."""
    config, table = DataConfig(source="digits"), []
    for raw in list(DigitsSource().read({"start": 0, "stop": 600}, 10**6))[rows]:
        data = raw.data
        if change or format != "PNG":
            image = Image.open(io.BytesIO(data))
            data = encode(change(image) if change else image, format)
        example = examine(RawImage("", data, raw.label, None), config)
        row = {name: getattr(example, name) for name in ("height", "width", "channels", "format")}
        row |= {name: np.float32(getattr(example, name)) for name in ("mean", "std")}
        row |= {"sha256": example.sha256, "label": labels[raw.label]}
        table.append(row | {"class_name": classes[raw.label]})
    return tfdv.generate_statistics_from_dataframe(pd.DataFrame(table))


@pytest.fixture(scope="module")
def released():
    return _statistics()


def _drifted(statistics, released, **changes) -> set[str]:
    config = CONFIG.model_copy(update=changes)
    found = check_drift("train", statistics, released, config, "release 1", False)
    return {gate.name.removeprefix("drift_train_") for gate in found if not gate.passed}


def test_the_same_source_passes(released):
    half = _statistics(rows=slice(0, 300))
    found = check_drift("train", half, released, CONFIG, "release 1", False)
    assert len(found) == 6 and all(gate.passed for gate in found)
    schema = infer_schema(released, LABELS)
    assert check_schema("train", half, schema, "release 1").passed


def test_inverted_brightness_is_drift_in_tfdvs_words(released):
    inverted = _statistics(lambda image: image.point(lambda value: 255 - value))
    found = check_drift("train", inverted, released, CONFIG, "release 1", False)
    failed = {gate.name: gate for gate in found if not gate.passed}
    assert list(failed) == ["drift_train_mean"]
    sentence = failed["drift_train_mean"].sentence()
    assert "Jensen-Shannon divergence between current and previous is 1" in sentence
    assert "expected at most 0.25 from release 1 (data_gate.max_drift)" in sentence


def test_another_size_or_contrast_is_drift(released):
    assert "height" in _drifted(_statistics(lambda image: image.resize((8, 16))), released)
    flat = _statistics(lambda image: image.point(lambda value: 60 + value // 16))
    assert "std" in _drifted(flat, released)


def test_other_class_shares_are_drift_until_accepted(released):
    one = _statistics(classes=["0"] * 5 + ["5"] * 5)
    assert _drifted(one, released) == {"class_name"}
    assert not _drifted(one, released, max_label_drift=0.9)
    accepted = check_drift("train", one, released, CONFIG, "release 1", True)
    assert accepted and all(gate.passed for gate in accepted)


def test_too_few_images_are_no_evidence(released):
    few = _statistics(lambda image: image.point(lambda value: 255 - value), slice(0, ENOUGH - 1))
    assert check_drift("val", few, released, CONFIG, "release 1", False) == []


def test_an_unseen_label_is_an_anomaly_in_tfdvs_words(released):
    schema = infer_schema(released, LABELS)
    other = _statistics(classes=[*"012345678", "nine"])
    gate = check_schema("train", other, schema, "the schema of release 1")
    assert not gate.passed and "values missing from the schema: nine" in gate.received
    restrict_classes(schema, [*"012345678", "nine"])
    assert check_schema("train", other, schema, "the schema of release 1").passed


def test_another_file_format_is_no_anomaly(released):
    schema = infer_schema(released, LABELS)
    assert check_schema("train", _statistics(format="BMP"), schema, "release 1").passed


def test_other_pictures_than_those_of_a_small_set_are_no_anomaly():
    """TFDV makes a domain of any text with up to a hundred values, digests too."""
    schema = infer_schema(_statistics(rows=slice(0, 60)), LABELS)
    other = _statistics(rows=slice(60, 80))
    assert check_schema("val", other, schema, "the schema of train").passed


def test_a_third_class_can_be_accepted_where_there_were_two():
    """TFDV takes the labels 0 and 1 for truth values."""
    two = {"classes": ["a", "b"] * 5, "labels": [0, 1] * 5}
    schema = infer_schema(_statistics(**two), ["a", "b"])
    three = {"classes": ["a", "b", "c", "a", "b"] * 2, "labels": [0, 1, 2, 0, 1] * 2}
    other = _statistics(**three)
    assert not check_schema("train", other, schema, "release 1").passed
    restrict_classes(schema, ["a", "b", "c"])
    assert check_schema("train", other, schema, "release 1").passed


def test_more_than_a_hundred_classes_are_a_domain_too(released):
    many = [f"class {number}" for number in range(150)]
    schema = infer_schema(released, many)
    gate = check_schema("train", released, schema, "release 1")
    assert not gate.passed and "class_name" in gate.received


def test_a_curated_schema_can_bound_numbers(released):
    schema = parse_schema(
        'feature { name: "mean" type: FLOAT float_domain { min: 0.5 max: 1.0 } }\n'
        'feature { name: "height" type: INT int_domain { min: 8 } }'
    )
    gate = check_schema("train", released, schema, "data.schema")
    assert not gate.passed and "mean" in gate.received and "height" not in gate.received
