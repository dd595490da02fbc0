"""What the two summary processes are asked and answer, see `pipeline/commands/summary.py`."""

from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from components.base import atomic
from components.base.commands import Arguments


class SummaryArgs(Arguments):
    """Arguments of `keras_summary` and `torch_summary`."""

    network: Path
    """Directory with a `network.json`; no weights are read."""
    output: Path
    """JSON to write: a list of `BuiltLayer`."""


class BuiltLayer(BaseModel):
    """A layer of a built network: its output's shape in the framework's own order, without the
    batch, and the numbers of its own trainable weights and moving statistics."""

    name: str
    shape: tuple[int, ...]
    trainable: int
    statistics: int


_LAYERS = TypeAdapter(list[BuiltLayer])


def write(layers: list[BuiltLayer], path: Path) -> None:
    atomic.write(path, _LAYERS.dump_json(layers).decode() + "\n")


def read(path: Path) -> list[BuiltLayer]:
    return _LAYERS.validate_json(path.read_bytes())
