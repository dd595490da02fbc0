"""Pack step: Examples through the transform graph into ImageArrays, one shard per file, on Beam."""

import json
import re
from pathlib import Path

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts_tfx import ImageArrays, IngestReport
from components.image_spec import ImageSpec
from components.pack import ChannelSums, write_description, write_shard
from components.sources import SPLITS

BATCH = 256
_FEATURES = {
    "image_bytes": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


class PackFile(beam.DoFn):
    """(split, TFRecord path) to (split, ChannelSums)."""

    def __init__(self, transform_graph: str, directory: str, spec: ImageSpec):
        self._transform_graph, self._directory = transform_graph, Path(directory)
        self._spec = spec

    def setup(self):
        transform = tft.TFTransformOutput(self._transform_graph)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def preprocess(image_bytes):
            raw = {"image_bytes": image_bytes[:, None]}
            return tf.cast(transform.transform_raw_features(raw)["image"], tf.uint8)

        self._preprocess = preprocess

    def process(self, item):
        split, path = item
        records = tf.data.TFRecordDataset(path)
        count = sum(1 for _ in records)

        def batches():
            for serialized in records.batch(BATCH):
                parsed = tf.io.parse_example(serialized, _FEATURES)
                images = self._preprocess(parsed["image_bytes"]).numpy()
                yield images, parsed["label"].numpy()

        number = int(re.search(r"-(\d{5})-of-", path).group(1))
        sums = write_shard(self._directory / split, number, count, self._spec, batches())
        yield split, sums


@component(use_beam=True)
def Pack(
    examples: InputArtifact[standard_artifacts.Examples],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    report: InputArtifact[IngestReport],
    arrays: OutputArtifact[ImageArrays],
    image: Parameter[str],
    code: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Decodes everything once; `image` is an ImageSpec as JSON, without statistics."""
    del code
    spec = ImageSpec.from_json(image)
    directory = Path(arrays.uri)
    labels = json.loads(Path(report.uri, "labels.json").read_text())
    files = [
        (split, str(path))
        for split in SPLITS
        for path in sorted(Path(artifact_utils.get_split_uri([examples], split)).iterdir())
    ]

    def describe(sums: list[ChannelSums]) -> None:
        total = ChannelSums()
        for part in sums:
            total = total.merge(part)
        write_description(directory, total.normalise(spec), labels)

    with beam_pipeline as p:
        _ = (
            p
            | "Files" >> beam.Create(files)
            | "Spread" >> beam.Reshuffle()
            | "Pack" >> beam.ParDo(PackFile(transform_graph.uri, arrays.uri, spec))
            | "Train" >> beam.Filter(lambda item: item[0] == "train")
            | "Sums" >> beam.Values()
            | "All" >> beam.combiners.ToList()
            | "Describe" >> beam.Map(describe)
        )
