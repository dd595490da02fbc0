"""`python -m serving.predict IMAGE...` or `... FOLDER`: the most probable labels, from the ONNX or
TFLite file of a release."""

import argparse
import os
import sys
from pathlib import Path

from serving.contract.release_files import FORMATS
from serving.store.release import Release, StoreError
from serving.store.store import Store

EXIT_FAILED, EXIT_WRONG, EXIT_NO_IMAGES, EXIT_INTERRUPTED = 1, 2, 4, 130
FORMATS_HERE = [
    row.name
    for row in FORMATS.values()
    if row.runtime in ("onnxruntime", "litert") and not row.from_grey
]
"""Those that the slim install opens."""


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 classified, 1 it stopped halfway, 2 wrong command line, or the start or (where
    images are named) one of them failed, 4 no image in the folder."""
    parser = _parser()
    options = parser.parse_args(arguments)
    folder = len(options.images) == 1 and Path(options.images[0]).is_dir()
    _check(parser, options, folder)
    try:
        release = selected(Store(Path(options.root) / "serving"), options.model)
    except (StoreError, OSError) as error:
        return _fail(error)

    from serving.inference.errors import ServingError  # after --help and the cheap refusals
    from serving.predict import run
    from serving.predict.classifier import Classifier
    from serving.predict.mistakes import neighbours_of

    try:
        classifier = Classifier(release, options.format)
        asked = options.alike is not None
        neighbours = neighbours_of(classifier, asked) if asked or options.labelled else None
    except ServingError as error:
        return _fail(error)
    if not folder:
        return run.images(options.images, classifier, options, neighbours)
    return run.folder(Path(options.images[0]), classifier, options, neighbours)


def selected(store: Store, model: str | None) -> Release:
    """The release that NAME or NAME@VERSION stands for; the only model's current one where that is
    None. Raises StoreError."""
    name, at, version = (model or "").partition("@")
    if not at:
        return store.select(model)
    if not version.isdecimal() or not 0 < int(version) < 10**18:
        raise StoreError(f"{model!r} is no model, expected NAME or NAME@VERSION.")
    return store.release(name, int(version))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.predict",
        description="Classify images, or all of a folder, with the current release, without a"
        " server. A folder's predictions are a CSV table, of which the summary says the most.",
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE|FOLDER", help="image files, or one folder of them")
    add("--root", default="out", help="output root (default: out)")
    add("--model", metavar="NAME[@VERSION]", help="which model (default: the only one)")
    add("--format", choices=FORMATS_HERE, default="onnx")
    add("--top", type=_positive, help="labels per image (default: 3)")
    add("--alike", type=_positive, metavar="N",
        help="name the N training images most alike, by the features of a pretrained backbone; "
        "with --labelled of the worst mistakes (default: 3)")  # fmt: skip
    of_folder = parser.add_argument_group("of a folder")
    add = of_folder.add_argument
    add("--csv", type=Path, metavar="FILE", help="the table (default: standard output)")
    add("--json", type=Path, metavar="FILE", help="the summary, and all of --labelled")
    add("--sort", type=Path, metavar="INTO", help="copy each file into INTO/LABEL/")
    add("--min-probability", type=_share, metavar="P", default=0.0,
        help="what is less sure is counted apart, and sorted into INTO/_unsure/")  # fmt: skip
    add("--labelled", action="store_true",
        help="the subfolders are the classes: accuracy, and the worst mistakes")  # fmt: skip
    add("--html", type=Path, metavar="FILE", help="of --labelled: the mistakes as a page")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, expected 1 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        if 0 <= float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no probability, expected 0 to 1")


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace, folder: bool) -> None:
    """Ends with exit code 2 where options do not go together."""
    given = [f"--{name.replace('_', '-')}"
             for name in ("csv", "json", "sort", "min_probability", "labelled", "html")
             if getattr(options, name)]  # fmt: skip
    if folder and options.top:
        parser.error("--top is of image files: a folder's table has the two most probable labels")
    if folder and not options.labelled and (options.alike or options.html):
        name = "alike" if options.alike else "html"
        parser.error(f"--{name} of a folder is of the mistakes in it: it needs --labelled")
    if not folder and any(Path(name).is_dir() for name in options.images):
        parser.error("expected image files, or one folder and nothing else")
    if not folder and given:
        parser.error(f"{given[0]} is of a folder: {options.images[0]} is none")


def _fail(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return EXIT_WRONG


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:  # whoever read the table has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_FAILED) from None
