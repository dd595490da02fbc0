"""What a model says of each file of a folder, in batches: memory does not grow with the folder."""

import concurrent.futures
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from serving.contract.image_spec import ImageSpec, decode
from serving.predict.classifier import Classifier
from serving.predict.listing import Found, content

BATCH = 32
"""Images of one inference, of which so many are held."""
_WORKERS = 4  # threads that decode, each of which holds up to one image of 50 megapixels


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A file by its path in the folder, and the two most probable labels; or the `problem` that
    there is none. Its fields are the columns of the table, see `outputs.Table`.

    `given` is the class that the file's folder says, `copied_to` where a copy was put.
    """

    path: str
    label: str = ""
    probability: float = 0.0
    runner_up: str = ""
    runner_up_probability: float = 0.0
    given: str = ""
    copied_to: str = ""
    problem: str = ""


def predictions(
    folder: Path, found: Iterable[Found], classifier: Classifier
) -> Iterator[Prediction]:
    """One for each file, in their order."""
    workers = min(_WORKERS, len(os.sched_getaffinity(0)))
    files = iter(found)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:

        def read(file: Found) -> np.ndarray | str:
            return file.problem or image_of(folder / file.path, classifier.spec)

        while batch := list(itertools.islice(files, BATCH)):
            yield from _predicted(batch, list(pool.map(read, batch)), classifier)


def image_of(path: Path, spec: ImageSpec) -> np.ndarray | str:
    """The file's image as the model takes it, or why there is none."""
    try:
        return decode(content(path), spec)
    except (OSError, ValueError) as error:
        return " ".join((getattr(error, "strerror", None) or str(error)).split())
    except MemoryError:
        return "there is not enough memory for it"


def _predicted(
    batch: list[Found], read: list[np.ndarray | str], classifier: Classifier
) -> Iterator[Prediction]:
    images = [image for image in read if not isinstance(image, str)]
    rows = iter(classifier.infer(np.stack(images)) if images else ())
    for file, image in zip(batch, read):
        if isinstance(image, str):
            yield Prediction(file.path, problem=image)
        else:
            yield _of(file.path, next(rows), classifier.labels)


def _of(path: str, probabilities: np.ndarray, labels: tuple[str, ...]) -> Prediction:
    first, second = probabilities.argsort(kind="stable")[::-1][:2]
    return Prediction(
        path,
        labels[first],
        float(probabilities[first]),
        labels[second],
        float(probabilities[second]),
    )
