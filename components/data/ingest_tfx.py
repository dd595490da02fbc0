"""ExampleGen of the line: a source's chunks through Beam into Examples, one file per chunk.

Each chunk is read, examined and written by one DoFn call without a shuffle; what travels between
workers is a row of numbers and the name of each image. So memory stays bounded by a chunk, and
files are the same whichever runner and worker wrote them.
"""

import copy
import dataclasses
import json
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
from components.data.chunk_files import ChunkFiles
from components.data.duplicates import DIGEST, Catalogue
from components.data.examine import Example, Quarantined, examine
from components.data.ingest import assign_split, carved, require_trainable
from components.data.look_alikes import perceptual_hashes, small_pictures
from components.data.recall import NOWHERE, Known, Recall, Rejected, file_key
from components.data.shards_tfx import SplitWriters, file_name, rearrange
from components.sources.config import DataConfig
from components.sources.listed_source import unread
from components.sources.open_source import open_source
from components.sources.source import SPLITS, RawImage, Source


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
    """A chunk's number to its ChunkReport; writes `Split-<split>/` files, each by one rename.

    `labels` are the source's classes in the order that the arrays and models shall have. With
    `recall`, what the ingest before knows is taken from it.
    """

    def __init__(
        self,
        config: DataConfig,
        source: Source,
        labels: tuple[str, ...],
        directory: Path,
        chunks: ChunkFiles,
        recall: Recall | None = None,
    ):
        self._config, self._source, self._recall = config, source, recall
        self._index = [labels.index(name) for name in source.labels]
        self._names = [name.encode("utf-8", "surrogateescape") for name in labels]
        self._directory, self._chunks = directory, chunks
        self._shares = carved(config, source.splits)

    def process(self, number: int) -> Iterator[Any]:  # Beam chooses coders by these types
        chunk = self._chunks.read(number)
        rows: list[tuple[str, Known | Rejected]] = []  # every file's key, and what became of it
        names: list[str] = []
        labels, fresh, thumbnails, quarantined = [], [], [], []
        with SplitWriters(self._directory, file_name(number, self._chunks.count)) as writers:
            for key, raw, known in self._files(chunk):
                label = self._label(raw)
                if label < 0 and raw.label != -1:
                    raw = dataclasses.replace(raw, label=-1, problem="label_outside_map")
                if known is None:
                    known, thumbnail = self._decode(raw, label, writers)
                    if thumbnail is not None:
                        fresh.append(len(rows))
                        thumbnails.append(thumbnail)
                elif isinstance(known, Known):
                    writers.copy(known.split, known.place)
                rows.append((key, known))
                if isinstance(known, Rejected):
                    split = raw.split or "unassigned"
                    lost = Quarantined(raw.name, known.reason, label, split, known.size)
                    quarantined.append(lost)
                else:
                    names.append(raw.name)
                    labels.append(label)
        if thumbnails:
            stacked = np.stack(thumbnails)
            hashes = perceptual_hashes(stacked).tolist()
            for row, look, picture in zip(fresh, hashes, small_pictures(stacked)):
                key, known = rows[row]
                assert isinstance(known, Known), "it has a thumbnail"
                rows[row] = key, known._replace(look=look, picture=picture.tobytes())
        if self._recall is not None:
            self._recall.remember(number, rows, writers.written)
        images = [known for _, known in rows if isinstance(known, Known)]
        reencoded = [(i, image.reencoded) for i, image in enumerate(images) if image.reencoded]
        places, digests = [SPLITS.index(i.split) for i in images], [i.digest for i in images]
        looks, pictures = [i.look for i in images], [i.picture for i in images]
        catalogue = Catalogue.of(names, places, labels, digests, looks, pictures)
        yield ChunkReport(number, catalogue, quarantined, reencoded)

    def _label(self, raw: RawImage) -> int:
        return self._index[raw.label] if 0 <= raw.label < len(self._index) else -1

    def _files(self, chunk: dict) -> Iterator[tuple[str, RawImage, Known | Rejected | None]]:
        """Each file's key, the file as found, and what is known of it: of those alone that nobody
        knows are the bytes read."""
        size = int(self._config.max_file_mib * 2**20)
        if self._recall is None or "contents" not in chunk:
            for raw in self._source.read(chunk, size):
                yield "", raw, None
            return
        found = []
        for file, content in zip(chunk["files"], chunk["contents"]):
            listed = unread(file)
            key = file_key(content, self._label(listed), listed.split)
            found.append((file, key, listed, self._recall.find(key)))
        asked = {"files": [file for file, _, _, known in found if known is None]}
        unknown = self._source.read(asked, size)
        for _, key, listed, known in found:
            yield key, (next(unknown) if known is None else listed), known

    def _decode(
        self, raw: RawImage, label: int, writers: "SplitWriters"
    ) -> tuple[Known | Rejected, np.ndarray | None]:
        """What becomes of a file, its Example written; with the thumbnail of an image."""
        result = examine(raw, self._config)
        if isinstance(result, Quarantined):
            return Rejected(result.reason, result.size), None
        split = assign_split(raw.split, result.sha256, self._shares)
        record = to_tf_example(result, label, self._names[label])
        writers.write(split, record.SerializeToString(deterministic=True))
        reencoded = result.format if result.reencoded else ""
        known = Known(split, result.sha256[:DIGEST], 0, b"", reencoded, NOWHERE)
        return known, result.thumbnail


def ingest(
    pipeline: beam.Pipeline,
    config: DataConfig,
    labels: tuple[str, ...],
    examples: Path,
    report: Path,
    recall: Recall | None = None,
    least: int = 1,
) -> None:
    """Adds to `pipeline` all that reads the source, and writes both artifacts' directories. Of each
    class `least` images are in each split, where Darkroom makes the splits.

    Workers share nothing but those directories and the source, so that any Beam runner may do it
    whose workers see the same file system.
    """
    source = open_source(config)
    ignored, shares = source.ignored, carved(config, source.splits)
    chunks = ChunkFiles.written(source.chunks(), examples / ".chunks")
    source = copy.copy(source)  # like a worker's: without the listing

    def write(account: Account) -> None:
        (report / "accounting.json").write_text(json.dumps(account.to_json(), indent=1))
        write_findings(report / "findings.csv", account.findings())
        image_index.write(report / image_index.INDEX, account.index())
        chunks.remove()

    def chunks_to_change(account: Account) -> Iterator[tuple[Path, str, list[tuple[str, str]]]]:
        for number, order in account.rearranged():
            yield examples, file_name(number, chunks.count), order

    account = (
        pipeline
        | "Chunks" >> beam.Create(range(chunks.count))
        | "Spread" >> beam.Reshuffle()
        | "Ingest" >> beam.ParDo(IngestChunk(config, source, labels, examples, chunks, recall))
        | "All" >> beam.combiners.ToList()
        | "Account" >> beam.Map(lambda reports: Account(reports, labels, ignored, shares, least))
    )
    _ = account | "Report" >> beam.Map(write)
    changing = account | "Changing" >> beam.FlatMap(chunks_to_change)
    _ = changing | "Rearrange" >> beam.MapTuple(rearrange)


@component(use_beam=True)
def ImageExampleGen(
    examples: OutputArtifact[standard_artifacts.Examples],
    report: OutputArtifact[IngestReport],
    data: Parameter[str],
    labels: Parameter[str],
    min_per_class: Parameter[int],
    fingerprint: Parameter[str],
    cache: Parameter[str],
    code: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Images of `data` (DataConfig as JSON) to Examples with splits train, val and test.

    `labels` is a JSON list: the source's classes in the order to give them. `min_per_class` is what
    the data gate asks of each split. `fingerprint` is that
    of the source's content: without it a changed folder would hit the cache. `cache` is where
    the next ingest finds what this one has decoded. Raises RuntimeError when the content is another
    by the time it has been read.
    """
    config, directory = DataConfig.model_validate_json(data), Path(report.uri)
    (directory / "labels.json").write_text(labels)
    recall = Recall(Path(cache), json.dumps([data, labels, open_source(config).labels, code]))
    recall.begin()
    with beam_pipeline as p:
        ingest(
            p,
            config,
            tuple(json.loads(labels)),
            Path(examples.uri),
            directory,
            recall,
            min_per_class,
        )
    # Contents are read again only where sizes or times say that something was written.
    still = open_source(config).still(fingerprint)
    if not still and open_source(config, anew=True).fingerprint() != fingerprint:
        raise RuntimeError(f"{config.source} changed while it was read: run again.")
    recall.finish()
    try:
        require_trainable(json.loads((directory / "accounting.json").read_text()))
    except DataRefused as error:  # TFX removes what a failed step has written
        error.findings = (directory / "findings.csv").read_bytes()
        raise
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
