"""The surest mistakes looked at again: their pictures, and the training images that are like them.

Nothing but names is known of those: where they lie, or whether they still do, no release says.
"""

import base64
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from serving.contract.release_files import NEIGHBOURS
from serving.inference.errors import NotServable
from serving.inference.neighbours import Alike, Neighbours
from serving.predict.classifier import Classifier
from serving.predict.listing import readable
from serving.predict.predictions import BATCH, Prediction, image_of

ALIKE = 3
EXACT = 64
"""Pixels of the longer side up to which a picture loses nothing."""
_SIDE = 224  # pixels of the longer side of a picture, at most


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A wrong prediction; `picture`, a data URL, is what the model saw, `alike` the training images
    that it finds most alike. Both are empty where nobody asked, or the file is gone."""

    prediction: Prediction
    alike: tuple[Alike, ...] = ()
    picture: str = ""

    def to_json(self) -> dict[str, Any]:
        """Without the picture."""
        row = self.prediction
        alike = [{"name": readable(of.name), "label": of.label} for of in self.alike]
        return {
            "path": readable(row.path), "given": row.given, "predicted": row.label,
            "probability": row.probability, "runner_up": row.runner_up,
            "runner_up_probability": row.runner_up_probability, "alike": alike,
        }  # fmt: skip


def neighbours_of(classifier: Classifier, asked: bool) -> Neighbours | None:
    """The release's, None where it has none or another format than ONNX was chosen; raises
    NotServable where they were `asked` for, and where they are damaged."""
    release, reason = classifier.release, ""
    if classifier.format != "onnx":
        reason = f"the {classifier.format} file has no features to find what is alike by: leave"
        reason += " --format out"
    elif not (release.path / NEIGHBOURS).is_file():
        reason = (
            f"version {release.version} of {release.name} has no {NEIGHBOURS}, which names the"
            " training images: it is in releases of networks with a pretrained backbone that was"
            " left as it is, unless release.neighbours=false"
        )
    if not reason:
        return Neighbours(release, classifier.labels)
    if asked:
        raise NotServable(f"{reason}.")
    return None


def looked_at(
    worst: Sequence[Prediction],
    folder: Path,
    classifier: Classifier,
    neighbours: Neighbours | None,
    count: int,
    pictures: bool,
) -> list[Mistake]:
    """The mistakes `worst` with `count` images alike each, and with `pictures`. Raises NotServable
    when the model fails."""
    if neighbours is None and not pictures:
        return [Mistake(row) for row in worst]
    found: list[Mistake] = []
    for start in range(0, len(worst), BATCH):
        rows = worst[start : start + BATCH]
        read = [image_of(folder / row.path, classifier.spec) for row in rows]
        images = [image for image in read if not isinstance(image, str)]
        alike = _alike(images, neighbours, count)
        for row, image in zip(rows, read):
            if isinstance(image, str):
                found.append(Mistake(row))
            else:
                found.append(Mistake(row, next(alike), picture(image) if pictures else ""))
    return found


def _alike(
    images: list[np.ndarray], neighbours: Neighbours | None, count: int
) -> Iterator[tuple[Alike, ...]]:
    if neighbours is None or not images:
        return iter([()] * len(images))
    return iter(neighbours.alike(np.stack(images), count))


def picture(pixels: np.ndarray) -> str:
    """uint8 (H, W, 1 or 3) as a data URL."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((_SIDE, _SIDE))
    form = "png" if max(image.size) <= EXACT else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, form)
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def shown(name: str) -> str:
    """A name out of a release, for a terminal or a page: nothing in it acts."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in readable(name))


def alike_words(alike: Sequence[Alike]) -> str:
    """`like cats/1.jpg (cat), cats/2.jpg (cat)`."""
    return "like " + ", ".join(f"{shown(of.name)} ({shown(of.label)})" for of in alike)
