"""ExampleGen of the line: a source's chunks through Beam into Examples, one file per chunk.

Each chunk is read, examined and written by one DoFn call without a shuffle, so that memory stays
bounded by a chunk, and files are the same whichever runner and worker wrote them.
"""

import json
import os
import uuid
from pathlib import Path

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts_tfx import IngestReport
from components.examine import Example, examine
from components.ingest import Accounting, assign_split, require_trainable
from components.sources import SPLITS, open_source
from pipeline.config import DataConfig


def to_tf_example(example: Example, label: int, labels: tuple[str, ...]) -> tf.train.Example:
    """The features that statistics, schema and transform see."""

    def of_bytes(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def of_int(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def of_float(value: float) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    features = {
        "image_bytes": of_bytes(example.image),
        "label": of_int(label),
        "class_name": of_bytes(labels[label].encode("utf-8", "surrogateescape")),
        "sha256": of_bytes(example.sha256.encode()),
        "format": of_bytes(example.format.encode()),
        "height": of_int(example.height),
        "width": of_int(example.width),
        "channels": of_int(example.channels),
        "mean": of_float(example.mean),
        "std": of_float(example.std),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


class IngestChunk(beam.DoFn):
    """(number, chunk) to its Accounting; writes `Split-<split>/` files, each by one rename."""

    def __init__(self, config: DataConfig, source, directory: str, count: int):
        self._config, self._source = config, source
        self._directory, self._count = Path(directory), count

    def process(self, numbered):
        number, chunk = numbered
        accounting, writers, source = Accounting(), {}, self._source
        suffix = f"data_tfrecord-{number:05d}-of-{self._count:05d}"
        unfinished = self._directory / f".{suffix}-{uuid.uuid4().hex}"
        unfinished.mkdir(parents=True)
        for raw in source.read(chunk, int(self._config.max_file_mib * 2**20)):
            result = examine(raw, self._config)
            if isinstance(result, Example):
                split = assign_split(raw.split, result.sha256, self._config, source.splits)
                accounting.add(result, split, raw.label)
                if split not in writers:
                    writers[split] = tf.io.TFRecordWriter(str(unfinished / split))
                record = to_tf_example(result, raw.label, source.labels)
                writers[split].write(record.SerializeToString(deterministic=True))
            else:
                accounting.add(result)
        for split, writer in writers.items():
            writer.close()
            folder = self._directory / f"Split-{split}"
            folder.mkdir(exist_ok=True)
            os.replace(unfinished / split, folder / suffix)
        unfinished.rmdir()
        yield accounting


def _merge(parts) -> Accounting:
    total = Accounting()
    for part in parts:
        total.merge(part)
    return total


@component(use_beam=True)
def ImageExampleGen(
    examples: OutputArtifact[standard_artifacts.Examples],
    report: OutputArtifact[IngestReport],
    data: Parameter[str],
    fingerprint: Parameter[str],
    code: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Images of `data` (DataConfig as JSON) to Examples with splits train, val and test.

    `fingerprint` is that of the source's content: without it a changed folder would hit the cache.
    Raises RuntimeError when the content is another by the time it has been read.
    """
    del code
    config = DataConfig.model_validate_json(data)
    source = open_source(config)
    chunks = source.chunks()
    accounting_path = os.path.join(report.uri, "accounting.json")

    def write(accounting: Accounting) -> None:
        Path(accounting_path).write_text(json.dumps(accounting.summary(source.labels), indent=1))

    labels = list(source.labels)
    Path(report.uri, "labels.json").write_text(json.dumps(labels))
    with beam_pipeline as p:
        _ = (
            p
            | "Chunks" >> beam.Create(list(enumerate(chunks)))
            | "Spread" >> beam.Reshuffle()
            | "Ingest" >> beam.ParDo(IngestChunk(config, source, examples.uri, len(chunks)))
            | "Account" >> beam.CombineGlobally(_merge)
            | "Report" >> beam.Map(write)
        )
    if open_source(config).fingerprint() != fingerprint:
        raise RuntimeError(f"{config.source} changed while it was read: run again.")
    require_trainable(json.loads(Path(accounting_path).read_text()))
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
