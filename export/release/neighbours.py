"""neighbours.npz of a release: the training images' features, made by the features step.

They are the backbone's, and it must be the released model's own: its features of the golden images
are compared with the step's.
"""

import dataclasses
from pathlib import Path

import numpy as np

from components.data import image_index
from components.data.arrays import ImageArrays, evenly
from components.features.feature_arrays import FeatureArrays
from export.verification import held_out
from serving.inference.nearest import unit
from serving.inference.neighbours import MAX_IMAGES, directions, features_of, write

_LEAST_COSINE = 0.999
"""Of the angle to the step's features rounded to 8 bits, which alone leaves more than 0.99999."""
_AT_A_TIME = 4096


@dataclasses.dataclass(frozen=True)
class TrainingFeatures:
    """`features` is the features step's directory, `index` ingest's images.csv."""

    features: Path
    index: Path


def write_neighbours(path: Path, model: Path, arrays: ImageArrays, made: TrainingFeatures) -> int:
    """Writes `path` for the ONNX file `model`; returns how many images are in it: those of the
    split train or, of more than MAX_IMAGES, as many spread evenly.

    Raises ValueError when the features are not of these images or not of that model.
    """
    held = FeatureArrays(made.features)
    train, test = held.split("train"), held.split("test")
    names = [row.name for row in image_index.read(made.index)["train"]]
    images = len(arrays.split("train"))
    if {len(train), len(names)} != {images} or len(test) != len(arrays.split("test")):
        raise ValueError(
            f"{made.features} is of {len(train)} training images and {made.index} of {len(names)}, "
            f"expected the {images} that were trained on: run the line again."
        )
    tensor = features_tensor(model)
    _check(model, tensor, arrays, held)
    rows = evenly(images, MAX_IMAGES)
    parts = [rows[start : start + _AT_A_TIME] for start in range(0, len(rows), _AT_A_TIME)]
    packed = np.concatenate([directions(train.images(part)) for part in parts])
    write(path, packed, train.labels[rows], [names[row] for row in rows], tensor)
    return len(rows)


def features_tensor(model: Path) -> str:
    """The name of what goes into the last layer of the ONNX file `model`: the input of its last
    matrix product. Raises ValueError where it has none."""
    import onnx

    nodes = onnx.load(model, load_external_data=False).graph.node
    products = [node for node in nodes if node.op_type in ("Gemm", "MatMul")]
    if not products:
        raise ValueError(f"{model} has no dense layer, expected one behind the features.")
    return products[-1].input[0]


def _check(model: Path, tensor: str, arrays: ImageArrays, held: FeatureArrays) -> None:
    """Raises ValueError unless the model's features of the golden images are the step's."""
    split, features = arrays.split("test"), held.split("test")
    rows = held_out.golden_rows(len(split))
    own = features_of(model, tensor, features.size)(split.images(rows))
    cosines = (unit(own) * unit(directions(features.images(rows)))).sum(axis=1)
    if not cosines.min() >= _LEAST_COSINE:  # so that NaN is refused too
        raise ValueError(
            f"the features that {model} has of its golden images point elsewhere than those in "
            f"{held.directory} (cosine {cosines.min():.4f}, expected {_LEAST_COSINE}): the model "
            "is not of this backbone; release.neighbours=false releases it without them."
        )
