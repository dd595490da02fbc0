"""Pictures for the report: the most confident mistakes, and what steps drew, small enough to embed.

The mistakes are chosen when a run ends and kept in `mistakes.json`, for a report may be written
again when the arrays are gone.
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from components.base import atomic
from components.data import image_index
from components.data.arrays import ImageArrays
from components.evaluation.predictions import predicted
from components.features.feature_arrays import FeatureArrays
from pipeline.outcome.sheet import tile_size
from serving.inference.nearest import nearest

SHOWN = 24
_SIDE, _SMALL = 112, 36  # pixels: the longer side of an image on the page, and of one beside it
_ALIKE = 3
_LOSSLESS = 300_000  # bytes: larger pictures are worth a loss that nobody sees


def write_mistakes(
    arrays: ImageArrays,
    predictions: dict[str, Path],
    index: Path | None,
    output: Path,
    features: Path | None = None,
) -> None:
    """Writes the JSON list `output` of the most confident wrong answers on the test split; with a
    `features` directory each has the training images that the backbone finds most alike.

    `predictions` are as in `samples.write_samples`, `index` is ingest's images.csv, or None. Raises
    ValueError when predictions do not fit the split.
    """
    test = arrays.split("test")
    answers = {of: predicted(arrays, "test", path)[1] for of, path in predictions.items()}
    rows = most_confident(test.labels, answers)
    names = image_names(index, "test", len(test))
    alike = _alike(arrays, rows, index, features) if features and len(rows) else {}
    found = []
    for row, pixels in zip(rows.tolist(), test.images(rows) if len(rows) else ()):
        width, height = tile_size(arrays.spec.shape[:2], _SIDE, shrink=True)
        found.append(
            {
                "name": names[row] if names else f"test image #{row}",
                "label": arrays.labels[test.labels[row]],
                "answers": {
                    framework: _answer(probabilities[row], arrays.labels)
                    for framework, probabilities in answers.items()
                },
                "image": thumbnail(pixels),
                "width": width,
                "height": height,
                "alike": alike.get(row, []),
            }
        )
    atomic.write(output, json.dumps(found, indent=1) + "\n")


def _alike(
    arrays: ImageArrays, rows: np.ndarray, index: Path | None, features: Path
) -> dict[int, list[dict]]:
    """For each of the test split's `rows` the training images most alike: name, label, picture."""
    held, train = FeatureArrays(features), arrays.split("train")
    if len(held.split("train")) != len(train) or len(held.split("test")) <= rows.max():
        raise ValueError(f"{features} is not of these arrays.")
    names = image_names(index, "train", len(train))
    queries, known = held.split("test").images(rows), held.split("train").mapped
    found = {}
    for row, near in zip(rows.tolist(), nearest(queries, known, _ALIKE)):
        found[row] = [
            {
                "name": names[other] if names else f"training image #{other}",
                "label": arrays.labels[train.labels[other]],
                "image": thumbnail(pixels, _SMALL),
            }
            for other, pixels in zip(near.tolist(), train.images(near))
        ]
    return found


def _answer(probabilities: np.ndarray, labels: list[str]) -> dict:
    confidence = float(probabilities.max())
    known = confidence if np.isfinite(confidence) else None
    return {"label": labels[probabilities.argmax()], "confidence": known}


def most_confident(labels: np.ndarray, answers: dict[str, np.ndarray]) -> np.ndarray:
    """int64: the rows that any framework answered wrongly, the most confident first; of equally
    confident ones the first. `labels` int64 (N,), `answers` float32 (N, classes) by framework."""
    confidence = np.zeros(len(labels))
    for probabilities in answers.values():
        wrong = probabilities.argmax(axis=1) != labels
        confidence = np.maximum(confidence, np.where(wrong, probabilities.max(axis=1), 0))
    order = np.argsort(-confidence, kind="stable")[:SHOWN]
    return order[confidence[order] > 0]


def image_names(index: Path | None, split: str, images: int) -> list[str] | None:
    """Names of a split's images in the arrays' order, or None: older runs lack the file."""
    if index is None or not index.is_file():
        return None
    names = [row.name for row in image_index.read(index)[split]]
    return names if len(names) == images else None


def read_mistakes(path: Path) -> list[dict]:
    """What `write_mistakes` wrote, or nothing."""
    return json.loads(path.read_text()) if path.is_file() else []


def thumbnail(pixels: np.ndarray, side: int = _SIDE) -> str:
    """uint8 (H, W, 1 or 3) as a data URL: as it is, or reduced to what a page shows sharply at
    `side` pixels."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    if max(image.size) > 2 * side:
        image.thumbnail((2 * side, 2 * side), Image.Resampling.LANCZOS)
    return _data_url(image)


def picture(path: Path) -> tuple[str, int, int] | None:
    """(data URL, width, height) of a PNG file, or None where there is none."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        image.load()
        return _data_url(image, path.read_bytes()), image.width, image.height


def _data_url(image: Image.Image, png: bytes | None = None) -> str:
    """The smallest form: PNG (`png`, where it is one already) or lossless WEBP, or, of what is
    large, WEBP."""
    forms = {"png": png or _encoded(image, "PNG", optimize=True)}
    if max(image.size) <= 16383:  # WEBP's limit
        # Half the default's effort: a third of the time for pictures 3% larger.
        forms["webp"] = _encoded(image, "WEBP", lossless=True, quality=20, method=2)
        if min(map(len, forms.values())) > _LOSSLESS:
            forms["webp"] = _encoded(image, "WEBP", quality=85)
    kind = min(forms, key=lambda form: len(forms[form]))
    return f"data:image/{kind};base64,{base64.b64encode(forms[kind]).decode()}"


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
