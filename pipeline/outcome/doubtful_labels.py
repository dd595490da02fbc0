"""Labels that look wrong: a list, a contact sheet, and what the report shows of them.

They are those in the place of which a head that did not learn from the image expects another, see
components/features/cross_validate.py. All splits are looked through: a wrong label of a test image
costs accuracy that no model can win back.
"""

import csv
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from components.base import atomic
from components.data import image_index
from components.data.arrays import ImageArrays
from components.features.cross_validate import PROBABILITIES, doubtful
from components.sources.source import SPLITS
from pipeline.outcome.gallery import thumbnail
from pipeline.outcome.sheet import GAP, fitted, tile, tile_size
from pipeline.outcome.verdict import DOUBTFUL, DOUBTFUL_SHEET

SHOWN = "doubtful.json"
_COLUMNS = ("name", "split", "label", "probability", "likely", "likely_probability")
_ON_PAGE, _ON_SHEET = 12, 120
_SIDE, _ACROSS, _CAPTION = 112, 8, 12  # pixels of a picture, pictures in a row, pixels of letters


def write_doubtful(
    arrays: ImageArrays, validation: Path, index: Path | None, directory: Path
) -> int:
    """Writes DOUBTFUL, DOUBTFUL_SHEET and SHOWN to a run's `directory`, the most doubtful first;
    returns how many there are, and writes nothing where there are none.

    `validation` is the cross_validate step's, `index` ingest's images.csv. Raises ValueError when
    they are not of these arrays.
    """
    found = _rows(arrays, validation, index)
    if not found:
        return 0
    buffer = io.StringIO(newline="")
    table = csv.DictWriter(buffer, _COLUMNS, extrasaction="ignore")
    table.writeheader()
    table.writerows({**row, "name": image_index.inert(row["name"])} for row in found)
    atomic.write(directory / DOUBTFUL, buffer.getvalue().encode(errors="surrogateescape"))
    shown = [_with_picture(row, arrays) for row in found[:_ON_PAGE]]
    atomic.write(directory / SHOWN, json.dumps(shown, indent=1) + "\n")
    picture = io.BytesIO()
    _sheet(found[:_ON_SHEET], arrays).save(picture, "PNG", optimize=True)
    atomic.write(directory / DOUBTFUL_SHEET, picture.getvalue())
    return len(found)


def read_doubtful(directory: Path) -> list[dict]:
    """What the report shows, or nothing."""
    path = directory / SHOWN
    return json.loads(path.read_text()) if path.is_file() else []


def _rows(arrays: ImageArrays, validation: Path, index: Path | None) -> list[dict]:
    names = image_index.read(index) if index is not None and index.is_file() else {}
    found = []
    with np.load(validation / PROBABILITIES) as stored:
        for split in SPLITS:
            labels, probabilities = arrays.split(split).labels, stored[split]
            if len(labels) != len(probabilities):
                raise ValueError(f"{validation} is not of the split {split} of these arrays.")
            own = names.get(split, [])
            for row in doubtful(probabilities, labels).tolist():
                likely = int(probabilities[row].argmax())
                found.append(
                    {
                        "name": own[row].name if len(own) == len(labels) else f"{split} #{row}",
                        "split": split,
                        "row": row,
                        "label": arrays.labels[labels[row]],
                        "probability": round(float(probabilities[row, labels[row]]), 4),
                        "likely": arrays.labels[likely],
                        "likely_probability": round(float(probabilities[row, likely]), 4),
                    }
                )
    return sorted(found, key=lambda row: row["probability"])


def _pixels(row: dict, arrays: ImageArrays) -> np.ndarray:
    return arrays.split(row["split"]).images(np.array([row["row"]]))[0]


def _with_picture(row: dict, arrays: ImageArrays) -> dict:
    width, height = tile_size(arrays.spec.shape[:2], _SIDE, shrink=True)
    picture = thumbnail(_pixels(row, arrays))
    return {**row, "image": picture, "width": width, "height": height}


def _sheet(rows: list[dict], arrays: ImageArrays) -> Image.Image:
    """The pictures in rows, below each its label and the likely one."""
    size = tile_size(arrays.spec.shape[:2], _SIDE, shrink=True)
    column, line = max(size[0], _SIDE) + 2 * GAP, _CAPTION + 4
    height = size[1] + 2 * line + 2 * GAP
    across = min(_ACROSS, len(rows))
    whole = Image.new("RGB", (across * column, -(-len(rows) // across) * height), "white")
    draw = ImageDraw.Draw(whole)
    for number, row in enumerate(rows):
        x, y = GAP + number % across * column, GAP + number // across * height
        whole.paste(tile(_pixels(row, arrays), size), (x, y))
        for at, (words, colour) in enumerate(
            ((row["label"], "#b00020"), (f"{row['likely']}?", "#1b6e2d"))
        ):
            text, letters = fitted(0, words, column - 2 * GAP, _CAPTION)
            draw.text((x, y + size[1] + 2 + at * line), text, colour, letters)
    return whole
