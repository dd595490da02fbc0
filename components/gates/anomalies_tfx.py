"""What TFDV has to say about a set's statistics: against a schema, and against the last release.

A schema inferred from the same data finds nothing in it; those that can fail are a curated one
(`data.schema`), and the schema and statistics that the current release was made with.
"""

from pathlib import Path

import tfx  # noqa: F401 - stands in for a module that TFDV cannot be imported without

# isort: split
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.gates.data_gate import DataGateConfig
from components.gates.result import GateResult

SCHEMA = "schema.pbtxt"
CLASS = "class_name"
NUMERIC = ("mean", "std", "height", "width", "channels")
"""Features whose distribution is compared: brightness, contrast and size."""

FREE = ("format", "sha256", "image_bytes")
"""Features that may have values that the schema has not seen: another file format than train
happens to have harms nothing, and no picture is like another."""

ENOUGH = 200
"""Images a split must have, now and then, for drift to be told from chance: class shares of 200
images vary by 0.1 in two of a hundred sets."""


def statistics_file(split: str) -> str:
    return f"statistics-{split}.pb"


def statistics_options() -> tfdv.StatsOptions:
    """Distinct values counted in sketches of bounded size, exact up to about a thousand of them:
    TFDV would otherwise carry every image's bytes through a shuffle, to count that none recurs."""
    return tfdv.StatsOptions(use_sketch_based_topk_uniques=True)


def infer_schema(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, labels: list[str]
) -> schema_pb2.Schema:
    """TFDV's schema of the training split, with `labels` as the domain of the class names."""
    schema = tfdv.infer_schema(statistics, infer_feature_shape=True)
    for feature in schema.feature:
        if feature.name in FREE:
            feature.ClearField("domain_info")
    restrict_classes(schema, labels)
    return schema


def restrict_classes(schema: schema_pb2.Schema, labels: list[str]) -> None:
    """Makes `labels` the only class names; TFDV itself gives up above a hundred, and takes the
    numbers of two classes for truth values."""
    domain = schema_pb2.StringDomain(name=CLASS, value=labels)
    kept = [d for d in schema.string_domain if d.name not in (CLASS, *FREE)]
    del schema.string_domain[:]
    schema.string_domain.extend([*kept, domain])
    tfdv.get_feature(schema, CLASS).domain = CLASS
    for feature in schema.feature:
        if feature.name == "label":
            feature.ClearField("domain_info")


def classes(schema: schema_pb2.Schema) -> set[str]:
    """The class names that `restrict_classes` gave it."""
    return {name for d in schema.string_domain if d.name == CLASS for name in d.value}


def parse_schema(text: str) -> schema_pb2.Schema:
    """A schema in protobuf's text format."""
    return text_format.Parse(text, schema_pb2.Schema())


def check_schema(
    split: str,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    source: str,
) -> GateResult:
    """One split against a schema, in TFDV's own words; `source` says where the schema is from."""
    return describe(f"schema_{split}", tfdv.validate_statistics(statistics, schema), source)


def describe(name: str, found: anomalies_pb2.Anomalies, source: str) -> GateResult:
    """Anomalies as one gate."""
    words = "; ".join(
        f"{feature}: {info.description or info.short_description}".strip().rstrip(".")
        for feature, info in sorted(found.anomaly_info.items())
    )
    return GateResult(name, f"no anomaly against {source}", words or "none", passed=not words)


def check_drift(
    split: str,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    before: statistics_pb2.DatasetFeatureStatisticsList,
    config: DataGateConfig,
    source: str,
    accept_classes: bool,
) -> list[GateResult]:
    """One split's distributions against those of the release that `source` names.

    Class shares by their largest difference, numbers by the Jensen-Shannon divergence of their
    histograms. Too small splits give no result. With `accept_classes` shares may change.
    """
    if min(count(statistics), count(before)) < ENOUGH:
        return []
    schema = tfdv.infer_schema(statistics)
    for name in NUMERIC:
        drift = tfdv.get_feature(schema, name).drift_comparator
        drift.jensen_shannon_divergence.threshold = config.max_drift
    if not accept_classes:
        drift = tfdv.get_feature(schema, CLASS).drift_comparator
        drift.infinity_norm.threshold = config.max_label_drift
    found = tfdv.validate_statistics(statistics, schema, previous_statistics=before)
    results = []
    for info in found.drift_skew_info:
        feature = info.path.step[0]
        measure = info.drift_measurements[0]
        key = "max_label_drift" if feature == CLASS else "max_drift"
        words = found.anomaly_info[feature].description if feature in found.anomaly_info else ""
        words = words.strip().rstrip(".")
        results.append(
            GateResult(
                name=f"drift_{split}_{feature}",
                expected=f"at most {measure.threshold:g} from {source} (data_gate.{key})",
                received=f"{measure.value:.3f}" + (f" ({words})" if words else ""),
                passed=measure.value <= measure.threshold,
                threshold=measure.threshold,
                value=measure.value,
                key=f"data_gate.{key}",
            )
        )
    return results


def count(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> int:
    """Number of examples."""
    return sum(dataset.num_examples for dataset in statistics.datasets)


def read_statistics(path: Path) -> statistics_pb2.DatasetFeatureStatisticsList:
    return tfdv.load_stats_binary(str(path))
