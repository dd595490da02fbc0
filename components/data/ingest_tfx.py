"""ExampleGen of the line: a source's chunks through Beam into Examples, one file per chunk.

Each chunk is read, examined and written by one DoFn call without a shuffle; what travels between
workers is a row of numbers and the name of each image. So memory stays bounded by a chunk, and
files are the same whichever runner and worker wrote them.
"""

import copy
import dataclasses
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.base.refusal import DataRefused
from components.data import image_index
from components.data.accounting import Account, ChunkReport, write_findings
from components.data.artifacts_tfx import IngestReport
from components.data.duplicates import DIGEST, Catalogue, perceptual_hashes
from components.data.examine import Example, Quarantined, examine
from components.data.ingest import assign_split, require_trainable
from components.sources.config import DataConfig
from components.sources.open_source import open_source
from components.sources.source import SPLITS, Source


def to_tf_example(example: Example, label: int, name: bytes) -> tf.train.Example:
    """The features that statistics, schema and transform see; `name` is that of the class."""
    proto = tf.train.Example()
    feature = proto.features.feature
    feature["image_bytes"].bytes_list.value.append(example.image)
    feature["class_name"].bytes_list.value.append(name)
    feature["sha256"].bytes_list.value.append(example.sha256.encode())
    feature["format"].bytes_list.value.append(example.format.encode())
    feature["label"].int64_list.value.append(label)
    feature["height"].int64_list.value.append(example.height)
    feature["width"].int64_list.value.append(example.width)
    feature["channels"].int64_list.value.append(example.channels)
    feature["mean"].float_list.value.append(example.mean)
    feature["std"].float_list.value.append(example.std)
    return proto


class IngestChunk(beam.DoFn):
    """(number, chunk) to its ChunkReport; writes `Split-<split>/` files, each by one rename.

    `labels` are the source's classes in the order that the arrays and models shall have.
    """

    def __init__(
        self,
        config: DataConfig,
        source: Source,
        labels: tuple[str, ...],
        directory: Path,
        count: int,
    ):
        self._config, self._source = config, source
        self._index = [labels.index(name) for name in source.labels]
        self._names = [name.encode("utf-8", "surrogateescape") for name in labels]
        self._directory, self._count = directory, count

    def process(self, numbered: Any) -> Iterator[Any]:  # Beam chooses coders by these types
        number, chunk = numbered
        splits = self._source.splits
        names: list[str] = []
        places, labels, digests, thumbnails = [], [], [], []
        quarantined, reencoded = [], []
        with _SplitWriters(self._directory, file_name(number, self._count)) as writers:
            for raw in self._source.read(chunk, int(self._config.max_file_mib * 2**20)):
                label = self._index[raw.label] if 0 <= raw.label < len(self._index) else -1
                if label < 0 and raw.label != -1:
                    raw = dataclasses.replace(raw, label=-1, problem="label_outside_map")
                result = examine(raw, self._config)
                if isinstance(result, Quarantined):
                    quarantined.append(dataclasses.replace(result, label=label))
                    continue
                split = assign_split(raw.split, result.sha256, self._config, splits)
                record = to_tf_example(result, label, self._names[label])
                writers.write(split, record.SerializeToString(deterministic=True))
                if result.reencoded:
                    reencoded.append((len(names), result.format))
                names.append(raw.name)
                places.append(SPLITS.index(split))
                labels.append(label)
                digests.append(result.sha256)
                thumbnails.append(result.thumbnail)
        looks = perceptual_hashes(np.stack(thumbnails)) if thumbnails else np.zeros(0, np.uint64)
        catalogue = Catalogue.of(names, places, labels, digests, looks)
        yield ChunkReport(number, catalogue, quarantined, reencoded)


def file_name(number: int, count: int) -> str:
    """Of the shard that chunk `number` of `count` leaves in each split."""
    return f"data_tfrecord-{number:05d}-of-{count:05d}"


class _SplitWriters:
    """One unfinished file per split, all renamed to `name` when the chunk is through."""

    def __init__(self, directory: Path, name: str):
        self._directory, self._name = directory, name
        self._unfinished = directory / f".{name}-{uuid.uuid4().hex}"
        self._writers: dict[str, tf.io.TFRecordWriter] = {}

    def __enter__(self) -> "_SplitWriters":
        self._unfinished.mkdir(parents=True)
        return self

    def write(self, split: str, record: bytes) -> None:
        if split not in self._writers:
            self._writers[split] = tf.io.TFRecordWriter(str(self._unfinished / split))
        self._writers[split].write(record)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for split, writer in self._writers.items():
            writer.close()
            if kind is None:
                folder = self._directory / f"Split-{split}"
                folder.mkdir(exist_ok=True)
                os.replace(self._unfinished / split, folder / self._name)
        if kind is None:
            self._unfinished.rmdir()


def drop_pictures(path: str, digests: frozenset[str]) -> None:
    """Rewrites an Examples file without the pictures of these digests, in one rename.

    Doing it twice changes nothing more: runners may repeat what they are not sure of.
    """
    if not os.path.exists(path):
        return
    kept = []
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        if features["sha256"].bytes_list.value[0].decode()[:DIGEST] not in digests:
            kept.append(record)
    if not kept:
        os.remove(path)
        return
    unfinished = os.path.join(os.path.dirname(os.path.dirname(path)), f".{uuid.uuid4().hex}")
    with tf.io.TFRecordWriter(unfinished) as writer:
        for record in kept:
            writer.write(record)
    os.replace(unfinished, path)


def ingest(
    pipeline: beam.Pipeline,
    config: DataConfig,
    labels: tuple[str, ...],
    examples: Path,
    report: Path,
) -> None:
    """Adds to `pipeline` all that reads the source, and writes both artifacts' directories.

    Workers share nothing but those directories and the source, so that any Beam runner may do it
    whose workers see the same file system.
    """
    source = open_source(config)
    ignored, chunks = source.ignored, source.chunks()
    source, count = copy.copy(source), len(chunks)  # a copy, like a worker's, has no listing

    def write(account: Account) -> None:
        (report / "accounting.json").write_text(json.dumps(account.to_json(), indent=1))
        write_findings(report / "findings.csv", account.findings())
        image_index.write(report / image_index.INDEX, account.index())

    def files(account: Account) -> Iterator[tuple[str, frozenset[str]]]:
        for (number, split), digests in account.to_drop().items():
            yield str(examples / f"Split-{split}" / file_name(number, count)), digests

    account = (
        pipeline
        | "Chunks" >> beam.Create(list(enumerate(chunks)))
        | "Spread" >> beam.Reshuffle()
        | "Ingest" >> beam.ParDo(IngestChunk(config, source, labels, examples, count))
        | "All" >> beam.combiners.ToList()
        | "Account" >> beam.Map(lambda reports: Account(reports, labels, ignored))
    )
    _ = account | "Report" >> beam.Map(write)
    _ = account | "Duplicates" >> beam.FlatMap(files) | "Drop" >> beam.MapTuple(drop_pictures)


@component(use_beam=True)
def ImageExampleGen(
    examples: OutputArtifact[standard_artifacts.Examples],
    report: OutputArtifact[IngestReport],
    data: Parameter[str],
    labels: Parameter[str],
    fingerprint: Parameter[str],
    code: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Images of `data` (DataConfig as JSON) to Examples with splits train, val and test.

    `labels` is a JSON list: the source's classes in the order to give them. `fingerprint` is that
    of the source's content: without it a changed folder would hit the cache. Raises RuntimeError
    when the content is another by the time it has been read.
    """
    del code
    config, directory = DataConfig.model_validate_json(data), Path(report.uri)
    (directory / "labels.json").write_text(labels)
    with beam_pipeline as p:
        ingest(p, config, tuple(json.loads(labels)), Path(examples.uri), directory)
    # Contents are read again only where sizes or times say that something was written.
    still = open_source(config).still(fingerprint)
    if not still and open_source(config, anew=True).fingerprint() != fingerprint:
        raise RuntimeError(f"{config.source} changed while it was read: run again.")
    try:
        require_trainable(json.loads((directory / "accounting.json").read_text()))
    except DataRefused as error:  # TFX removes what a failed step has written
        error.findings = (directory / "findings.csv").read_bytes()
        raise
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
