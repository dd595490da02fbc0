"""Pack step: Examples through the transform graph into ImageArrays, one shard per file, on Beam."""

import collections
import json
import math
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
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

from components.data.artifacts_tfx import ImageArraysArtifact, IngestReport
from components.data.pack import ChannelSums, write_description, write_shard
from components.data.tfrecords import places
from components.sources.source import SPLITS
from serving.contract.image_spec import ImageSpec

_BATCH_BYTES, _THREADS = 4 * 2**20, 2
_FEATURES = {
    "image_bytes": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


class PackFile(beam.DoFn):
    """(split, TFRecord path) to (split, ChannelSums)."""

    def __init__(self, transform_graph: str, directory: str, spec: ImageSpec):
        self._transform_graph, self._directory = transform_graph, Path(directory)
        self._spec = spec
        # A few MiB at a time, whatever the images' size.
        self._batch = max(1, min(256, _BATCH_BYTES // math.prod(spec.packed_shape)))

    def setup(self) -> None:
        transform = tft.TFTransformOutput(self._transform_graph)

        # Autograph would rewrite all of TFT's Python for seconds and find nothing to convert.
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        def preprocess(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            parsed = tf.io.parse_example(serialized, _FEATURES)
            raw = {"image_bytes": parsed["image_bytes"][:, None]}
            images = transform.transform_raw_features(raw)["image"]
            return tf.cast(images, tf.uint8), parsed["label"]

        self._preprocess = preprocess

    def process(self, item: Any) -> Iterator[tuple[Any, Any]]:  # Beam chooses coders by these types
        split, path = item
        numbered = re.search(r"-(\d{5})-of-", path)
        assert numbered is not None, "as ingest names its files"
        number = int(numbered.group(1))
        directory, count = self._directory / split, len(places(path))
        yield split, write_shard(directory, number, count, self._spec, self._batches(path))

    def _batches(self, path: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(images, labels) in order; a batch is decoded while the one before is written.

        A thread rather than `tf.data.Dataset.map`, which optimises the graph anew for each file.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            ahead: collections.deque[Future] = collections.deque()
            for serialized in tf.data.TFRecordDataset(path).batch(self._batch):
                ahead.append(pool.submit(self._preprocess, serialized))
                if len(ahead) > _THREADS:
                    yield _to_numpy(ahead.popleft().result())
            while ahead:
                yield _to_numpy(ahead.popleft().result())


def _to_numpy(tensors: tuple[tf.Tensor, tf.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    images, labels = tensors
    return images.numpy(), labels.numpy()


@component(use_beam=True)
def Pack(
    examples: InputArtifact[standard_artifacts.Examples],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    report: InputArtifact[IngestReport],
    arrays: OutputArtifact[ImageArraysArtifact],
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
