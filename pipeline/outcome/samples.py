"""Sample images of a run: some of each class from train, and from test with both answers.

What a person looks for is where the models are wrong: of the test split the mistakes come first.
"""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from components.base import atomic
from components.data.arrays import ImageArrays, Split, evenly
from components.evaluation.predictions import predicted
from pipeline.outcome.sheet import GAP, TEXT, fitted, font, tile, tile_size

CLASSES, COLUMNS, MISTAKES = 10, 9, 6
"""At most: classes shown, images of each, and mistakes among them while there are right ones."""
_TILE, _CAPTION = 88, 11  # pixels: longer side of an image, size of the text below it
_NAME = 130  # pixels: widest name of a row


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours of a sheet."""

    paper: str
    ink: str
    right: str
    wrong: str


LIGHT = Theme("#ffffff", "#000000", "#2a7d46", "#b3261e")
DARK = Theme("#14161a", "#e8eaed", "#77d79b", "#ff9a90")


def write_samples(
    arrays: ImageArrays, predictions: dict[str, Path], output: Path, theme: Theme = LIGHT
) -> None:
    """Writes the PNG `output`.

    `predictions` are the frameworks' npz files on the test split, see `PredictArgs.outputs`.
    Raises ValueError when one does not fit the split.
    """
    train, test = arrays.split("train"), arrays.split("test")
    answers = {of: predicted(arrays, "test", path)[1] for of, path in predictions.items()}
    shown = classes_shown(test.labels, answers, len(arrays.labels))
    sheets = [
        _train_sheet(arrays, train, shown, theme),
        _test_sheet(arrays, test, answers, shown, theme),
    ]
    size = max(s.width for s in sheets), sum(s.height for s in sheets)
    whole = Image.new("RGB", size, theme.paper)
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", optimize=True)
    atomic.write(output, buffer.getvalue())


def classes_shown(labels: np.ndarray, answers: dict[str, np.ndarray], classes: int) -> list[int]:
    """Every label in order; of more than ten classes those with the most mistakes on `labels`
    (int64 (N,)), then those that have images there. `answers` are probabilities, float32
    (N, classes), by framework."""
    wrong = sum((_wrong(a, labels) for a in answers.values()), np.zeros(len(labels), np.int64))
    mistakes = np.bincount(labels, weights=wrong, minlength=classes)
    absent = np.bincount(labels, minlength=classes) == 0
    # Stable: among equals the first classes, as everywhere else.
    return sorted(np.lexsort((absent, -mistakes))[:CLASSES].tolist())


def rows_shown(labels: np.ndarray, answers: dict[str, np.ndarray], label: int) -> np.ndarray:
    """int64: the rows of one class to show: up to six mistakes of any framework, the most
    confident first, then right ones from all over the split; more mistakes where there are too
    few of those."""
    rows = np.flatnonzero(labels == label)
    confidence = np.zeros(len(rows))
    for probabilities in answers.values():
        own = probabilities[rows]
        confidence = np.maximum(confidence, _wrong(own, labels[rows]) * own.max(axis=1))
    wrong = rows[np.argsort(-confidence, kind="stable")][: np.count_nonzero(confidence)]
    right = rows[confidence == 0]
    mistakes = wrong[: max(MISTAKES, COLUMNS - len(right))]
    more = right[evenly(len(right), COLUMNS - len(mistakes))]
    return np.concatenate([mistakes, more])


def _wrong(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (probabilities.argmax(axis=1) != labels).astype(np.int64)


def _train_sheet(arrays: ImageArrays, train: Split, shown: list[int], theme: Theme) -> Image.Image:
    height, width, _ = arrays.spec.packed_shape
    title = f"Training images as packed, {height}x{width}, before augmentation"
    if len(shown) < len(arrays.labels):
        title += f": {len(shown)} of {len(arrays.labels):,} classes, those with most mistakes"
    sheet = _Sheet(arrays.labels, shown, [title], (height, width), 0, theme)
    for number, label in enumerate(shown):
        rows = np.flatnonzero(train.labels == label)
        rows = rows[evenly(len(rows), COLUMNS)]
        for column, pixels in enumerate(train.packed(rows) if len(rows) else ()):
            sheet.place(number, column, pixels)
    return sheet.image


def _test_sheet(
    arrays: ImageArrays,
    test: Split,
    answers: dict[str, np.ndarray],
    shown: list[int],
    theme: Theme,
) -> Image.Image:
    titles = ["Test images as the networks see them"]
    if answers:
        right = {f: len(test) - _wrong(a, test.labels).sum() for f, a in answers.items()}
        counts = ", ".join(f"{f} {n:,} of {len(test):,} right" for f, n in right.items())
        order = ", then ".join(f"{name}'s" for name in answers)
        titles += [f"{counts}. Below each image {order} answer; mistakes come first."]
    sheet = _Sheet(arrays.labels, shown, titles, arrays.spec.shape[:2], len(answers), theme)
    for number, label in enumerate(shown):
        rows = rows_shown(test.labels, answers, label)
        for column, (row, pixels) in enumerate(zip(rows, test.images(rows) if len(rows) else ())):
            sheet.place(number, column, pixels)
            sheet.caption(number, column, [int(a[row].argmax()) for a in answers.values()], label)
    return sheet.image


class _Sheet:
    """Titles, then a row of images for each of the `shown` classes, `captions` lines below each
    image. `shape` is (H, W) of the images."""

    def __init__(
        self,
        names: list[str],
        shown: list[int],
        titles: list[str],
        shape: tuple[int, int],
        captions: int,
        theme: Theme,
    ):
        self._names, self._tile = names, tile_size(shape, _TILE, shrink=True)
        self._theme = theme
        labels = [fitted(label, names[label], _NAME) for label in shown]
        # A narrow image must still leave its captions legible.
        self._column = max(self._tile[0], _TILE) + 2 * GAP
        below = captions * (_CAPTION + 4) + (2 * GAP if captions else 0)
        self._row = max(self._tile[1], TEXT + 4) + below + 2 * GAP
        self._left = 16 + max(round(letters.getlength(text)) for text, letters in labels)
        self._top = len(titles) * (TEXT + 6) + 12
        width = max(
            self._left + COLUMNS * self._column + GAP,
            *(16 + round(font(TEXT).getlength(title)) for title in titles),
        )
        height = self._top + len(shown) * self._row + 8
        self.image = Image.new("RGB", (width, height), theme.paper)
        self._draw = ImageDraw.Draw(self.image)
        for number, title in enumerate(titles):
            y = 6 + number * (TEXT + 6)
            self._draw.text((8, y), title, theme.ink, font(TEXT))
        for number, (text, letters) in enumerate(labels):
            y = self._top + number * self._row + max(self._tile[1], TEXT) // 2
            self._draw.text((8, y), text, theme.ink, letters, "lm")

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        return self._left + column * self._column, self._top + row * self._row

    def place(self, row: int, column: int, pixels: np.ndarray) -> None:
        """Pastes uint8 (H, W, C)."""
        self.image.paste(tile(pixels, self._tile), self._corner(row, column))

    def caption(self, row: int, column: int, predicted: list[int], label: int) -> None:
        """The answers, one below the other, marked; a frame where one is wrong."""
        theme = self._theme
        x, y = self._corner(row, column)
        right, bottom = x + self._tile[0] - 1, y + self._tile[1] - 1
        if any(answer != label for answer in predicted):
            self._draw.rectangle(
                (x - 2, y - 2, right + 2, bottom + 2), outline=theme.wrong, width=2
            )
        for line, answer in enumerate(predicted):
            mark, colour = ("✓", theme.right) if answer == label else ("✗", theme.wrong)
            space = self._column - 2 * GAP - _CAPTION - 2
            text, letters = fitted(answer, self._names[answer], space, _CAPTION)
            at = bottom + 4 + line * (_CAPTION + 4)
            self._draw.text((x, at), mark, colour, font(_CAPTION))
            self._draw.text((x + _CAPTION + 2, at), text, colour, letters)
