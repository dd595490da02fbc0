"""The steps with which plain TFX begins, as its tutorials wire them: from TFRecords of tf.Examples
to transformed ones."""

from pathlib import Path
from typing import Any, NamedTuple

from tfx.components import ExampleValidator, ImportExampleGen, SchemaGen, StatisticsGen, Transform
from tfx.proto import example_gen_pb2


class PlainSteps(NamedTuple):
    examples: ImportExampleGen
    statistics: StatisticsGen
    schema: SchemaGen
    validator: ExampleValidator
    transform: Transform


def plain_steps(
    records: Path, patterns: dict[str, str], preprocessing_fn: str, **transform: Any
) -> PlainSteps:
    """Over the files below `records` that match the pattern of each split; `transform` goes to
    Transform, which in plain TFX's favour takes no statistics: they would be of every pixel."""
    splits = [
        example_gen_pb2.Input.Split(name=split, pattern=pattern)
        for split, pattern in patterns.items()
    ]
    examples = ImportExampleGen(
        input_base=str(records), input_config=example_gen_pb2.Input(splits=splits)
    )
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    schema = SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    transformed = Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn=preprocessing_fn,
        disable_statistics=True,
        **transform,
    )
    return PlainSteps(examples, statistics, schema, validator, transformed)
