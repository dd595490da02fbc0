"""Two lines from image files to what training reads, each in a process of its own.

`python -m benchmarks.lines_tfx plain|ours PRESET RESULT.json key=value ...` runs one of them and
writes what it took. The clock starts when everything is imported.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import tensorflow as tf
import tensorflow_datasets  # noqa: F401 - or it would be imported while the clock runs
from apache_beam.options.pipeline_options import StandardOptions
from tfx.orchestration import metadata
from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner
from tfx.orchestration.pipeline import Pipeline, RunOptions

from benchmarks.measure import memory
from benchmarks.plain_steps_tfx import plain_steps
from benchmarks.steps_tfx import steps
from components.sources.open_source import open_source
from pipeline.configuration.config import RunConfig, root_path
from pipeline.configuration.configure import configure
from pipeline.configuration.overrides import parse_overrides
from pipeline.line import dag

_LAST = "pack"


def preprocessing_fn(inputs: dict, custom_config: dict) -> dict:
    """What TFX's own examples do: decode, cast, leave materialising to Transform."""
    shape = custom_config["shape"]

    def decode(data: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(data, channels=shape[-1], expand_animations=False)
        return tf.ensure_shape(tf.cast(image, tf.float32), shape)

    data = tf.reshape(inputs["image"], [-1])
    images = tf.map_fn(decode, data, fn_output_signature=tf.TensorSpec(shape, tf.float32))
    return {"image": images, "label": inputs["label"]}


def plain(config: RunConfig, source: Any) -> Pipeline:
    """TFX's standard components on a TFDS set's files, which are TFRecords of tf.Examples."""
    name = source.directory.parent.name
    patterns = {split: f"{name}-{split}.tfrecord*" for split in ("train", "test")}
    first = plain_steps(
        source.directory,
        patterns,
        "benchmarks.lines_tfx.preprocessing_fn",
        custom_config={"shape": list(source.image_shape)},
    )
    root = root_path(config)
    return Pipeline(
        pipeline_name="plain",
        pipeline_root=str(root / "artifacts"),
        components=list(first),
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
        beam_pipeline_args=dag.beam_args(config),
    )


def ours(config: RunConfig, source: Any) -> Pipeline:
    """The line itself, of which only the data half will run."""
    return dag.build(
        config,
        source=source.fingerprint(),
        labels=source.labels,
        schema="",
        run_id="benchmark",
        baseline=None,
    )


def main() -> None:
    """Runs a line; the result has seconds, steps, images, and the bytes held after the imports."""
    line, preset, result = sys.argv[1:4]
    StandardOptions.DEFAULT_RUNNER = "FnApiRunner"  # Beam's own default would be downloaded
    imported = memory(os.getpid())
    start, cpu = time.perf_counter(), _cpu_seconds()
    config = configure(preset, parse_overrides(sys.argv[4:]))
    source: Any = open_source(config.data)  # for the plain line a TfdsSource
    opened = time.perf_counter() - start
    pipeline = {"plain": plain, "ours": ours}[line](config, source)
    BeamDagRunner().run(pipeline, RunOptions(to_nodes=[_LAST]) if line == "ours" else None)
    root = root_path(config)
    found = {
        "line": line,
        "images": _images(root) if line == "ours" else source.images,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": _cpu_seconds() - cpu,
        "open_seconds": opened,
        "steps": steps(root / "metadata.sqlite"),
        "imported_bytes": imported,
        "shards": sorted(
            (path.stat().st_mtime, path.name)
            for path in root.glob("artifacts/ingest/examples/*/Split-train/*")
        ),
    }
    Path(result).write_text(json.dumps(found))


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(psutil.Process().cpu_times()[:4])


def _images(root: Path) -> int:
    (account,) = root.glob("artifacts/ingest/report/*/accounting.json")
    return json.loads(account.read_text())["read"]


if __name__ == "__main__":
    main()
