"""TensorBoard's scalars, written alike for both frameworks: `EventAccumulator.Scalars` reads them.

By TensorBoard's own writer, as `torch.utils.tensorboard` does; `tf.summary` would write tensors.
"""

import sys
import time
import types
from pathlib import Path


class ScalarWriter:
    """An event file in `directory`, which is made."""

    def __init__(self, directory: Path):
        # Where TensorFlow is installed TensorBoard would import it, for file access alone, at the
        # cost of five seconds: this module's name tells it to do without.
        sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._events = EventFileWriter(str(directory))

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        self._events.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        """Writes what is not yet written."""
        self._events.close()
