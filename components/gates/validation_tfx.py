"""The gates' verdict in TFMA's words: `tfma.load_validation_result(path).validation_ok`.

Written by the Gates step beside a copy of the evaluation, so that another limit does not have the
model evaluated again. TFMA judges what its thresholds can express (accuracy, top-k, loss, recall by
the slices of class); every gate that fails is a failure there in its own words too, so that both
always agree.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.utils import config_util
from tensorflow_model_analysis.writers.metrics_plots_and_validations_writer import (
    CombineValidations,
)

from components.gates.model_gates import GatesConfig
from components.gates.result import GateResult

_CONFIG = "eval_config.json"
_FILES = (_CONFIG, "metrics-*", "plots-*")

ROUNDING = 1e-6
"""TFMA's metrics are float32: a bound that is just reached must not fail there."""
_FINITE = 3.4e38  # the largest float32


def write(evaluation: Path, directory: Path, gates: list[GateResult], limits: GatesConfig) -> None:
    """Copies TFMA's files of `evaluation` to `directory` (new), with thresholds and what they say.

    `gates` are all those of that model, judged by `limits`.
    """
    directory.mkdir(parents=True)
    for pattern in _FILES:
        for path in evaluation.glob(pattern):
            shutil.copyfile(path, directory / path.name)
    run = json_format.Parse((evaluation / _CONFIG).read_text(), config_pb2.EvalRun())
    set_thresholds(run.eval_config, limits)
    (directory / _CONFIG).write_text(json_format.MessageToJson(run))
    result = validate(directory, run.eval_config, gates)
    with tf.io.TFRecordWriter(str(directory / "validations.tfrecord")) as writer:
        writer.write(result.SerializeToString())


def set_thresholds(config: config_pb2.EvalConfig, limits: GatesConfig) -> None:
    """Puts into the metrics of `config` the limits that are TFMA's thresholds."""
    loss = _FINITE if limits.max_loss is None else limits.max_loss
    # By default a class's recall is above zero; one image of a million is.
    recall = 1e-6 if limits.min_recall is None else limits.min_recall
    for metric in config.metrics_specs[0].metrics:
        name = json.loads(f"{{{metric.config}}}").get("name", "")
        if name == "accuracy":
            _add(metric, [], lower=limits.min_accuracy)
            _add(metric, ["class_name"], lower=recall)
        elif name == "loss":
            _add(metric, [], upper=loss)
        elif name.startswith("top_") and limits.min_top_k is not None:
            _add(metric, [], lower=limits.min_top_k)


def _add(
    metric: config_pb2.MetricConfig,
    feature_keys: list[str],
    lower: float | None = None,
    upper: float | None = None,
) -> None:
    added = metric.per_slice_thresholds.add()
    added.slicing_specs.add(feature_keys=feature_keys)
    bounds = added.threshold.value_threshold
    if lower is not None:
        bounds.lower_bound.value = lower - min(ROUNDING, lower / 2)
    if upper is not None:
        bounds.upper_bound.value = upper * (1 + ROUNDING)


def validate(
    directory: Path, config: config_pb2.EvalConfig, gates: list[GateResult]
) -> validation_result_pb2.ValidationResult:
    """TFMA's own validation of the metrics in `directory`, with the gates that failed."""
    config = config_util.update_eval_config_with_defaults(config)
    combine = CombineValidations(config)
    found = combine.create_accumulator()
    for sliced in _metrics(directory):
        found = combine.add_input(found, metrics_validator.validate_metrics(sliced, config))
    result = combine.extract_output(found)
    failed = [gate for gate in gates if not gate.passed]
    assert result.validation_ok or failed, f"TFMA fails what the gates let pass: {result}"
    if failed:
        result.validation_ok = False
        own = result.metric_validations_per_slice.add()
        own.slice_key.CopyFrom(slicer_lib.serialize_slice_key(()))
        for gate in failed:
            failure = own.failures.add(message=gate.sentence())
            failure.metric_key.name = gate.name
            if gate.value is not None:
                failure.metric_value.double_value.value = gate.value
    return result


def _metrics(directory: Path) -> Iterator[tuple]:
    """(slice key, {metric key: number}) of each slice that TFMA wrote to `directory`."""
    for of_slice in tfma.load_metrics(str(directory)):
        numbers = {
            metric_types.MetricKey.from_proto(pair.key): pair.value.double_value.value
            for pair in of_slice.metric_keys_and_values
            if pair.value.HasField("double_value")
        }
        yield slicer_lib.deserialize_slice_key(of_slice.slice_key), numbers
