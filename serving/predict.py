"""`python -m serving.predict IMAGE...`: the most probable labels, from the ONNX or TFLite file."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from serving.contract.release_files import FORMATS, Format, formats_of, titles
from serving.store.release import Release, StoreError
from serving.store.store import Store

if TYPE_CHECKING:
    import numpy as np

    from serving.contract.image_spec import ImageSpec

FORMATS_HERE = [
    row.name
    for row in FORMATS.values()
    if row.runtime in ("onnxruntime", "litert") and not row.from_grey
]
"""Those that the slim install opens."""


def main(arguments: list[str] | None = None) -> int:
    """Prints one line per image. Exit codes: 0 all predicted, 2 an image or the start failed."""
    options = _parser().parse_args(arguments)
    try:
        release = Store(Path(options.root) / "serving").select(options.model)
    except (StoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    from serving.contract.image_spec import decode  # after --help and the cheap refusals
    from serving.inference.errors import ServingError

    try:
        predict, spec, labels = _open(release, FORMATS[options.format])
    except ServingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed = False
    for name in options.images:
        try:
            image = decode(Path(name).read_bytes(), spec)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            print(f"error: {name}: {reason}", file=sys.stderr)
            failed = True
            continue
        print(f"{name}: {_top(predict(image[None])[0], labels, options.top)}", flush=True)
    return 2 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.predict",
        description="Classify images with the current release, without a server.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG, PNG, GIF, BMP or WEBP")
    parser.add_argument("--root", default="out", help="output root (default: out)")
    parser.add_argument("--model", metavar="NAME", help="which model (default: the only one)")
    parser.add_argument("--format", choices=FORMATS_HERE, default="onnx")
    parser.add_argument("--top", type=_positive, default=3, help="labels per image (default: 3)")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, expected 1 or more")
    return int(text)


def _top(probabilities: "np.ndarray", labels: tuple[str, ...], count: int) -> str:
    order = probabilities.argsort(kind="stable")[::-1][:count]
    return ", ".join(f"{labels[index]} {probabilities[index]:.1%}" for index in order)


def _open(release: Release, row: Format) -> tuple[Callable, "ImageSpec", tuple[str, ...]]:
    """(images uint8 (N, H, W, C) -> float32 (N, classes), ImageSpec, labels).

    Raises NotServable when the release is damaged or has no such file, or it cannot be loaded.
    """
    from serving.inference.errors import NotServable
    from serving.inference.model import Model, verified_contract

    if row.name == "onnx":  # with all that a server checks
        model = Model(release)
        return model.infer, model.spec, model.labels
    contract, formats = verified_contract(release), formats_of(release.manifest())
    if row not in formats:
        raise NotServable(
            f"{release.path} has no {row.file}: it was released as "
            f"{titles([known.name for known in formats])}; use --format onnx."
        )
    opened = _onnx if row.runtime == "onnxruntime" else _tflite
    infer = opened(row.in_release(release.path))
    return infer, contract["image_spec"], contract["labels"]


def _onnx(path: Path) -> Callable:
    from serving.inference.onnx_runtime import open_session

    session = open_session(path)
    return lambda images: session.run(["probabilities"], {"image": images})[0]


def _tflite(path: Path) -> Callable:
    from serving.inference.tflite_runtime import open_interpreter, quiet

    interpreter = open_interpreter(path)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def infer(images: "np.ndarray") -> "np.ndarray":
        interpreter.resize_tensor_input(source["index"], images.shape)
        with quiet():
            interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return infer


if __name__ == "__main__":
    raise SystemExit(main())
