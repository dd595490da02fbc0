"""The two ways to ask: named images, a line each, and a folder."""

import argparse
import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from serving.inference.errors import ServingError
from serving.inference.neighbours import Neighbours
from serving.predict.classifier import Classifier
from serving.predict.folder import Summary, Work, classify
from serving.predict.judgement import Judgement
from serving.predict.mistakes import ALIKE, Mistake, alike_words, looked_at
from serving.predict.outputs import replacing
from serving.predict.page import page
from serving.predict.predictions import image_of
from serving.predict.sorting import CannotSort, Sorted
from serving.predict.words import judgement_lines, summary_lines


def images(
    names: list[str],
    classifier: Classifier,
    options: argparse.Namespace,
    neighbours: Neighbours | None,
) -> int:
    """Prints a line per image, and one below it with the training images alike where there are
    `neighbours`. Returns 0, or 2 where one of them failed."""
    failed = False
    for name in names:
        image = image_of(
            Path(name).resolve(), classifier.spec
        )  # a link that a person names is meant
        if isinstance(image, str):
            print(f"error: {name}: {image}", file=sys.stderr)
            failed = True
            continue
        try:
            shown = _top(classifier.infer(image[None])[0], classifier.labels, options.top or 3)
            alike = neighbours.alike(image[None], options.alike)[0] if neighbours else ()
        except ServingError as error:
            return _fail(error, 2)
        print(f"{name}: {shown}", flush=True)
        if alike:
            print(f"  {alike_words(alike)}", flush=True)
    return 2 if failed else 0


def _top(probabilities: np.ndarray, labels: tuple[str, ...], count: int) -> str:
    order = probabilities.argsort(kind="stable")[::-1][:count]
    return ", ".join(f"{labels[index]} {probabilities[index]:.1%}" for index in order)


def folder(
    path: Path,
    classifier: Classifier,
    options: argparse.Namespace,
    neighbours: Neighbours | None,
) -> int:
    """Writes the table, the copies, the JSON and the page, and prints the summary: to standard
    output, or beside the table there to standard error. Returns the exit code, see
    `__main__.main`."""
    release, judged = classifier.release, Judgement(classifier.labels) if options.labelled else None
    settings = {
        "model": release.name,
        "version": release.version,
        "format": classifier.format,
        "min_probability": options.min_probability,
    }
    written = tuple(of for of in (options.csv, options.json, options.html) if of)
    with contextlib.ExitStack() as held:
        try:
            for file in written:
                _check_place(file)
            sort = options.sort
            into = held.enter_context(Sorted(sort, path, settings)) if sort else None
        except (CannotSort, OSError) as error:
            return _fail(error, 2)
        try:
            # Decoders run in threads, which share the filters of warnings.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with _table(options.csv) as table:
                    work = Work(path, table, written, options.min_probability, into, judged)
                    summary = classify(work, classifier)
                worst = judged.worst() if judged else []
                count, pictures = options.alike or ALIKE, bool(options.html)
                mistakes = looked_at(worst, path, classifier, neighbours, count, pictures)
            if options.json:
                with replacing(options.json) as facts:
                    json.dump(_facts(settings, path, summary, judged, mistakes), facts, indent=1)
                    facts.write("\n")
            if options.html and judged:
                title = f"{release.name} version {release.version} on {path}"
                with replacing(options.html) as file:
                    file.writelines(page(title, judged, mistakes, classifier.spec))
        except BrokenPipeError:
            raise
        except (OSError, ServingError) as error:
            return _fail(error, 1, "; the same command goes on" if into else "")
    told = sys.stdout if options.csv else sys.stderr
    for line in summary_lines(summary, options.min_probability):
        print(line, file=told)
    for line in judgement_lines(judged, mistakes) if judged else ():
        print(line, file=told)
    return _exit_code(path, summary, judged)


def _fail(error: Exception, code: int, then: str = "") -> int:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(f"error: {text.removesuffix('.')}{then}.", file=sys.stderr)
    return code


def _exit_code(path: Path, summary: Summary, judged: Judgement | None) -> int:
    if not summary.images:
        print(f"error: no image in {path} could be read.", file=sys.stderr)
        return 4
    if judged and not judged.images:
        expected = ", ".join(judged.labels[:5]) + (", ..." if len(judged.labels) > 5 else "")
        print(
            f"error: no image in {path} lies in a subfolder that is called like a class of the "
            f"model: expected {expected}.",
            file=sys.stderr,
        )
        return 4
    return 0


def _facts(
    settings: dict,
    path: Path,
    summary: Summary,
    judged: Judgement | None,
    mistakes: list[Mistake],
) -> dict[str, object]:
    return settings | {
        "folder": str(path),
        "images": summary.images,
        "labels": dict(summary.labels.most_common()),
        "unsure": summary.unsure,
        "unreadable": summary.unnamed.total(),
        "reasons": dict(summary.unnamed.most_common()),
        "copied": dict(summary.copied),
        "labelled": judged.to_json(mistakes) if judged else None,
    }


def _check_place(file: Path) -> None:
    """Raises OSError where no file can be put there, before all the work is done."""
    if file.is_dir() or not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise OSError(f"{file} cannot be written: expected a file in a folder that can.")


@contextlib.contextmanager
def _table(path: Path | None) -> Iterator[TextIO]:
    if path is not None:
        with replacing(path) as file:
            yield file
    else:
        yield sys.stdout
        sys.stdout.flush()
