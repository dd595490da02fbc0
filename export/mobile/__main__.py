"""`python -m export.mobile RELEASE OUT`: what a phone or another language needs of a release."""

import argparse
import sys
from pathlib import Path

from export.mobile import facts, folder
from serving.store.release import StoreError


def main(arguments: list[str] | None = None) -> int:
    """Writes the bundle. Exit codes: 0 done, 2 it could not be written."""
    options = _parser().parse_args(arguments)
    try:
        found = facts.read(options.release)
        folder.write(found, options.out)
    except (StoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    version = "" if found.version is None else f" version {found.version}"
    print(f"{options.out}: {found.name}{version}")
    for model in found.models:
        print(f"  {model.row.file:<26}{model.bytes / 1e6:8.3f} MB  {model.row.title}")
    print(
        f"  {'golden/':<26}{folder.golden_bytes(options.out) / 1e6:8.3f} MB  "
        f"{len(found.images)} images with their answers, a photo with its preprocessing"
    )
    print(f"  contract.json, labels.txt; samples: {', '.join(folder.samples())}")
    print(f"{options.out / folder.README} says which file to take and how to run the samples.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export.mobile",
        description="Write a release's TFLite and ONNX files, its contract and golden answers, and"
        " samples in several languages that preprocess, classify and test themselves.",
    )
    parser.add_argument(
        "release",
        metavar="RELEASE",
        type=Path,
        help="a release, such as out/serving/models/digits/1",
    )
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        help="a new folder, or an older bundle of the same model, which is replaced",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
