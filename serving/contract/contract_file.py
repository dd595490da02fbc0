"""What contract.json must say for a release to be served: checked before anything is computed.

Standard library and image_spec only.
"""

import math
from typing import Any

from serving.contract.image_spec import ImageSpec

MAX_IMAGE = 16 * 2**20
"""Bytes of one image as the model takes it: those of 64 must fit in memory."""
MAX_LABELS = 100_000
MAX_LABEL = 1000
"""Characters. Labels are folders' names, which have up to 255 bytes."""


def checked(contract: dict) -> dict:
    """The contract with `image_spec` as ImageSpec and `labels` as a tuple of text that has a UTF-8
    form. Raises KeyError, TypeError or ValueError."""
    spec = _image_spec(contract["image_spec"])
    labels = _labels(contract["labels"])
    for which, dtype, shape in (
        ("input", "uint8", [None, *spec.shape]),
        ("output", "float32", [None, len(labels)]),
    ):
        tensor = contract[which]
        if not isinstance(tensor["name"], str):
            raise TypeError(f"the name of the {which} is no text")
        if (tensor["dtype"], tensor["shape"]) != (dtype, shape):
            raise ValueError(
                f"the {which} is {str(tensor['dtype'])[:50]} {str(tensor['shape'])[:100]},"
                f" expected {dtype} {shape}, as image_spec and labels say."
            )
    return {**contract, "image_spec": spec, "labels": labels}


def _image_spec(values: dict[str, Any]) -> ImageSpec:
    sizes = ("height", "width", "channels", "margin_height", "margin_width")
    for name in sizes:
        if type(values.get(name, 0)) is not int:
            raise TypeError(f"{name} of image_spec is {str(values[name])[:50]}, expected a number")
    spec = ImageSpec.from_dict(values)
    if math.prod(spec.packed_shape) > MAX_IMAGE:
        raise ValueError(f"an image has more than {MAX_IMAGE} bytes.")
    if not all(map(math.isfinite, (*spec.mean, *spec.std))) or min(spec.std) <= 0:
        raise ValueError("mean and std are not numbers to divide by.")
    return spec


def _labels(labels: Any) -> tuple[str, ...]:
    if not isinstance(labels, list) or not 0 < len(labels) <= MAX_LABELS:
        raise ValueError(f"labels are no list of 1 to {MAX_LABELS} texts.")
    if not all(isinstance(label, str) and len(label) <= MAX_LABEL for label in labels):
        raise ValueError(f"labels are not all text of up to {MAX_LABEL} characters.")
    # Folders' names may hold bytes that are no text.
    return tuple(label.encode("utf-8", "backslashreplace").decode() for label in labels)
