"""What on-device libraries read of a TFLite file: the labels, and what goes in and comes out.

That is a second FlatBuffers file of the schema `metadata_schema.fbs` (1.5.0, identifier M001, as
MediaPipe and TensorFlow Lite Support publish it), which lies in a metadata buffer of the first one,
and the labels as a ZIP archive behind the file's end, where they are looked for.

The schema's generated Python code is part of MediaPipe's wheel, which weighs half a gigabyte with
what it needs; the few tables used here are written by their numbers in the schema instead.

No NormalizationOptions, as pixels are uint8 and normalisation is inside the graph; nor
ScoreCalibrationOptions, as a temperature is inside it too.
"""

import dataclasses
import io
import zipfile
from typing import Any

import flatbuffers

from serving.contract.labels import labels_text
from serving.contract.release_files import LABELS

NAME = "TFLITE_METADATA"
"""The metadata entry under which libraries look for it."""
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"
"""The lowest version of the schema that knows everything used here."""

_STRETCHED = (
    "Libraries that resize by themselves stretch the image, by another filter: give them one of"
    " {height} x {width} (height x width)."
)

_LABELS_OF_AXIS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
_FEATURE, _IMAGE = 1, 2  # ContentProperties
_RGB, _GREY = 1, 2  # ColorSpaceType


def build(contract: dict) -> bytes:
    """The metadata of a file with that contract."""
    _, height, width, channels = contract["input"]["shape"]
    size = _Table(2, {0: _UInt32(width), 1: _UInt32(height)})
    colours = _Byte(_GREY if channels == 1 else _RGB)
    image = _Table(
        7,
        {
            0: contract["input"]["name"],
            1: f"{contract['preprocessing']} {_STRETCHED.format(height=height, width=width)}",
            3: _content(_IMAGE, _Table(2, {0: colours, 1: size})),
            5: _stats(0, 255),
        },
    )
    labels = _Table(
        5, {0: LABELS, 1: "The classes in the order of the scores.", 2: _Byte(_LABELS_OF_AXIS)}
    )
    scores = _Table(
        7,
        {
            0: contract["output"]["name"],
            1: "The probability of each class; they add up to one.",
            3: _content(_FEATURE, _Table(0, {})),
            5: _stats(0, 1),
            6: [labels],
        },
    )
    classes = f"an image as one of {len(contract['labels'])} classes"
    model = _Table(
        8,
        {
            0: "Image classifier",
            1: f"Classifies {classes}; trained with {contract['framework']}.",
            2: contract["lineage"],
            3: [_Table(10, {2: [image], 3: [scores]})],
            7: _PARSER,
        },
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, model), _IDENTIFIER)
    return bytes(builder.Output())


def with_labels(content: bytes, labels: list[str]) -> bytes:
    """The TFLite file `content` with the labels as a ZIP archive behind it, uncompressed."""
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS), labels_text(labels))
    return stream.getvalue()


class _Byte(int):
    """An 8-bit number, as enumerations and the types of unions are."""


class _UInt32(int):
    pass


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table of the schema with so many `slots`, and `fields` by their slot: numbers, strings,
    tables, or lists of tables or of float32 numbers."""

    slots: int
    fields: dict[int, Any]


def _content(kind: int, properties: _Table) -> _Table:
    return _Table(3, {0: _Byte(kind), 1: properties})


def _stats(least: float, most: float) -> _Table:
    return _Table(2, {0: [float(most)], 1: [float(least)]})


def _write(builder: flatbuffers.Builder, value: Any) -> int:
    """Writes a string, a table or a list; where it is. Children come first in this format."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        return _write_list(builder, value)
    places = {
        slot: _write(builder, field)
        for slot, field in value.fields.items()
        if not isinstance(field, int)
    }
    builder.StartObject(value.slots)
    for slot, field in value.fields.items():
        match field:
            case _Byte():
                builder.PrependUint8Slot(slot, field, 0)
            case _UInt32():
                builder.PrependUint32Slot(slot, field, 0)
            case _:
                builder.PrependUOffsetTRelativeSlot(slot, places[slot], 0)
    return builder.EndObject()


def _write_list(builder: flatbuffers.Builder, values: list) -> int:
    numbers = isinstance(values[0], float)
    items = values if numbers else [_write(builder, value) for value in values]
    builder.StartVector(4, len(items), 4)
    prepend = builder.PrependFloat32 if numbers else builder.PrependUOffsetTRelative
    for item in reversed(items):
        prepend(item)
    return builder.EndVector()
