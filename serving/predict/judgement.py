"""`--labelled`: how right the model is where folders say what the images are.

The folder's own subfolders are the classes, by the labels themselves or by the folders that
`--sort` makes of them, so that what was sorted and put right by hand can be judged.
"""

import collections
import difflib
import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from serving.contract.interval import wilson
from serving.predict.listing import readable
from serving.predict.mistakes import Mistake
from serving.predict.predictions import Prediction
from serving.predict.sorting import folder_names

CONFIDENCE = 0.95
_MISTAKES = 100
"""The worst ones, of which so many are kept."""


class Judgement:
    """Fed with predictions one by one; holds counts and the worst mistakes, not the images'."""

    def __init__(self, labels: tuple[str, ...]):
        self.labels = labels
        # A label itself comes before what stands for another one.
        self._label = {folder: label for label, folder in folder_names(labels).items()}
        self._label |= {label: label for label in labels}
        self.confusion: collections.Counter[tuple[str, str]] = collections.Counter()
        self.unknown: collections.Counter[str] = collections.Counter()
        self.outside = 0
        self._worst: list[tuple[float, int, Prediction]] = []
        self._seen = 0

    def given(self, path: str) -> str:
        """The class that the path says, "" for a file beside the folders, else the folder."""
        folder, slash, _ = path.partition("/")
        return self._label.get(folder, folder) if slash else ""

    def add(self, prediction: Prediction) -> None:
        """Counts it, but for one without a label: there is no image to be right about."""
        if prediction.problem:
            return
        if not prediction.given:
            self.outside += 1
        elif prediction.given not in self._label:
            self.unknown[prediction.given] += 1
        else:
            self.confusion[prediction.given, prediction.label] += 1
            if prediction.given != prediction.label:
                self._seen += 1
                row = (prediction.probability, -self._seen, prediction)
                (heapq.heappush if len(self._worst) < _MISTAKES else heapq.heappushpop)(
                    self._worst, row
                )

    @property
    def images(self) -> int:
        """Those in folders of the model's classes."""
        return self.confusion.total()

    @property
    def right(self) -> int:
        return sum(self.confusion[label, label] for label in self.labels)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of the accuracy. Raises ZeroDivisionError without images."""
        return wilson(self.right, self.images, CONFIDENCE)

    def classes(self) -> Iterator[dict[str, Any]]:
        """Images, recall and precision of each class, None where there is nothing to divide by."""
        given: collections.Counter[str] = collections.Counter()
        predicted: collections.Counter[str] = collections.Counter()
        for (label, answer), count in self.confusion.items():
            given[label] += count
            predicted[answer] += count
        for label in self.labels:
            right = self.confusion[label, label]
            yield {
                "label": label,
                "images": given[label],
                "recall": right / given[label] if given[label] else None,
                "precision": right / predicted[label] if predicted[label] else None,
            }

    def confusions(self) -> list[tuple[str, str, int]]:
        """(given, predicted, images) of all mistakes, the most frequent first."""
        wrong = [(*pair, count) for pair, count in self.confusion.items() if pair[0] != pair[1]]
        return sorted(wrong, key=lambda row: (-row[2], row[:2]))

    def worst(self) -> list[Prediction]:
        """The mistakes that the model was surest of, the surest first."""
        return [row[2] for row in sorted(self._worst, reverse=True)]

    def unknown_folders(self) -> list[tuple[str, int, str]]:
        """(folder, its images, the class whose name is like it or "")."""
        found = []
        for folder, count in sorted(self.unknown.items()):
            close = difflib.get_close_matches(folder, self.labels, n=1)
            found.append((folder, count, close[0] if close else ""))
        return found

    def to_json(self, mistakes: Sequence[Mistake]) -> dict[str, Any]:
        """With those `mistakes`; accuracy and interval are None where no image was in a folder of a
        class."""
        return {
            "images": self.images,
            "right": self.right,
            "accuracy": self.right / self.images if self.images else None,
            "interval": list(self.interval) if self.images else None,
            "confidence": CONFIDENCE,
            "classes": list(self.classes()),
            "confusions": [
                {"given": given, "predicted": predicted, "images": images}
                for given, predicted, images in self.confusions()
            ],
            "mistakes": [mistake.to_json() for mistake in mistakes],
            "unknown_folders": [
                {"folder": readable(folder), "images": images, "like": like}
                for folder, images, like in self.unknown_folders()
            ],
            "outside_of_folders": self.outside,
        }  # fmt: skip
