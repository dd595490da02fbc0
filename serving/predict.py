"""`python -m serving.predict IMAGE...`: the most probable labels, from the ONNX or TFLite file."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from serving.release import Release, StoreError
from serving.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Prints one line per image. Exit codes: 0 all predicted, 2 an image or the start failed."""
    options = _parser().parse_args(arguments)
    try:
        release = Store(Path(options.root) / "serving").select(options.model)
    except (StoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    from components.image_spec import decode  # after --help and the cheap refusals
    from serving.errors import ServingError

    try:
        predict, spec, labels = _onnx(release) if options.format == "onnx" else _tflite(release)
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
    parser.add_argument("--format", choices=("onnx", "tflite"), default="onnx")
    parser.add_argument("--top", type=_positive, default=3, help="labels per image (default: 3)")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, expected 1 or more")
    return int(text)


def _top(probabilities, labels: tuple[str, ...], count: int) -> str:
    order = probabilities.argsort(kind="stable")[::-1][:count]
    return ", ".join(f"{labels[index]} {probabilities[index]:.1%}" for index in order)


def _onnx(release: Release) -> tuple[Callable, object, tuple[str, ...]]:
    from serving.core import Model

    model = Model(release)
    return model.infer, model.spec, model.labels


def _tflite(release: Release) -> tuple[Callable, object, tuple[str, ...]]:
    """(images uint8 (N, H, W, C) -> float32 (N, classes), ImageSpec, labels).

    Raises NotServable when the release is damaged or the file cannot be loaded.
    """
    from serving.core import verified_contract
    from serving.errors import NotServable

    contract = verified_contract(release)
    path = release.path / "model.tflite"
    if "tflite" not in contract.get("formats", ["tflite"]):
        raise NotServable(
            f"{release.path} has no model.tflite: it was released as "
            f"{', '.join(contract['formats'])} alone; use --format onnx."
        )
    with _quiet():
        from ai_edge_litert.interpreter import Interpreter

        try:
            interpreter = Interpreter(model_path=str(path))
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise NotServable(f"LiteRT cannot load {path}: {error}") from error
    source, target = (
        interpreter.get_input_details()[0],
        interpreter.get_output_details()[0],
    )

    def infer(images):
        interpreter.resize_tensor_input(source["index"], images.shape)
        with _quiet():
            interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return infer, contract["image_spec"], contract["labels"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Standard error closed to native libraries, which announce their delegates there."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


if __name__ == "__main__":
    raise SystemExit(main())
