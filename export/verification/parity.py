"""One artifact beside its source: `python -m export.verification.parity ARGS.json`.

ARGS = {"artifact": "saved_model" | "tflite" | "onnx", "path", "arrays", "predictions", "images",
"batches": [1, 32], "output", "lineage" (optional), "threads" (optional)}. `predictions` is the
directory of the source framework's own probabilities, see `held_out.py`. Only the runtime that the
artifact needs is imported, so that nothing of the exporting process can help it along.
"""

import dataclasses
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from components.base import atomic
from components.data.arrays import ImageArrays
from export.formats import contract as contracts
from export.verification import held_out
from serving.contract import release_files as artifact
from serving.contract.image_spec import ImageSpec

THREADS = 2

# uint8 (N, H, W, C) to float32 (N, classes).
Road = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Opened:
    """An artifact in its runtime: its ways from images to probabilities by name, what the runtime
    says of its input and output (in the contract's form), and the contract found inside."""

    roads: dict[str, Road]
    input: dict
    output: dict
    contract: dict


def open_artifact(kind: str, path: str | Path, threads: int = THREADS) -> Opened:
    """Opens a SavedModel directory, a TFLite file or an ONNX file on the CPU."""
    openers = {
        "saved_model": _open_saved_model,
        "tflite": _open_tflite,
        "onnx": _open_onnx,
    }
    return openers[kind](Path(path), threads)


def verify(args: dict) -> list[dict]:
    """One record for each batch size in `args["batches"]`.

    A record holds artifact, batch, images (the number compared), max_difference and agreement
    (share of equal top-1 labels; both None where they cannot be had), bytes and sha256 of the
    artifact (see `artifact.py`), and `error`: None, or a sentence saying what is wrong with it.

    Raises ValueError or OSError for arrays and predictions that cannot be used, ImportError and
    MemoryError: these say nothing about the artifact.
    """
    arrays, path = ImageArrays(args["arrays"]), Path(args["path"])
    images, expected = held_out.load(arrays, Path(args["predictions"]), args["images"])
    blank = {
        "artifact": args["artifact"],
        "images": 0,
        "max_difference": None,
        "agreement": None,
        "bytes": artifact.size(path),
        "sha256": None,
        "error": None,
    }
    try:
        blank["sha256"] = artifact.sha256(path)
        opened = open_artifact(args["artifact"], path, args.get("threads", THREADS))
        if wrong := disagreement(opened, arrays, args.get("lineage")):
            raise ValueError(wrong)
    except _OF_THE_MACHINE:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a runtime raises is a failed record)
        return [blank | {"batch": batch, "error": _sentence(error)} for batch in args["batches"]]
    records = []
    for batch in args["batches"]:
        try:
            measured = compare(opened.roads, images, expected, batch)
        except _OF_THE_MACHINE:
            raise
        except Exception as error:  # noqa: BLE001
            measured = {"error": _sentence(error)}
        records.append(blank | {"batch": batch, "images": len(images)} | measured)
    return records


def compare(
    roads: dict[str, Road], images: np.ndarray, expected: np.ndarray, batch: int
) -> dict[str, float]:
    """Largest probability difference and share of equal top-1 labels, the worst over all roads.

    Raises ValueError for an answer that is not finite or has another shape or type, and for
    `expected` that is not finite.
    """
    if not np.isfinite(expected).all():
        raise ValueError("the source model gives probabilities that are not finite.")
    largest, agreement = 0.0, 1.0
    for name, road in roads.items():
        equal = compared = 0
        for rows in batches(len(images), batch):
            received = road(images[rows])
            _check_answer(name, received, (len(rows), expected.shape[1]))
            largest = max(largest, float(np.abs(received - expected[rows]).max()))
            equal += int((received.argmax(1) == expected[rows].argmax(1)).sum())
            compared += len(rows)
        agreement = min(agreement, equal / compared)
    return {"max_difference": largest, "agreement": agreement}


def batches(count: int, batch: int) -> Iterator[np.ndarray]:
    """Row numbers that cover `count` images in batches of exactly `batch`, then a shorter batch.

    With fewer images than `batch`, images repeat to fill one; where nothing is left over, a few
    rows are run again, because an artifact that only takes the last size it saw is broken too.
    """
    rows = np.resize(np.arange(count), max(count, batch))
    full = len(rows) // batch * batch
    for start in range(0, full, batch):
        yield rows[start : start + batch]
    if batch > 1:
        yield rows[full:] if full < len(rows) else rows[: max(1, batch // 3)]


def disagreement(opened: Opened, arrays: ImageArrays, lineage: str | None) -> str | None:
    """What in the artifact's interface or contract is not as it must be, or None."""
    contract = opened.contract
    expectations = [
        ("its input", opened.input, {**_INPUT, "shape": [None, *arrays.spec.shape]}),
        ("its output", opened.output, {**_OUTPUT, "shape": [None, len(arrays.labels)]}),
        ("the input in its contract", contract.get("input"), opened.input),
        ("the output in its contract", contract.get("output"), opened.output),
        ("the labels in its contract", contract.get("labels"), list(arrays.labels)),
    ]
    if lineage is not None:
        expectations.append(("the lineage in its contract", contract.get("lineage"), lineage))
    for what, received, expected in expectations:
        if received != expected:
            return f"{what} is {received}, expected {expected}."
    return None


_OF_THE_MACHINE = (ImportError, MemoryError)
_INPUT = {"name": contracts.IMAGE, "dtype": "uint8"}
_OUTPUT = {"name": contracts.PROBABILITIES, "dtype": "float32"}


def _check_answer(road: str, received: np.ndarray, shape: tuple[int, int]) -> None:
    if received.shape != shape or received.dtype != np.float32:
        raise ValueError(
            f"{road} gives {received.dtype} {received.shape}, expected float32 {shape}."
        )
    if not np.isfinite(received).all():
        raise ValueError(f"{road} gives probabilities that are not finite.")


def _open_saved_model(path: Path, threads: int) -> Opened:
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    loaded = tf.saved_model.load(str(path))
    default = loaded.signatures["serving_default"]
    contract = contracts.read_saved_model(path)
    roads = {
        contracts.IMAGE: lambda images: default(image=tf.constant(images))[
            contracts.PROBABILITIES
        ].numpy()
    }
    if "serving_bytes" in loaded.signatures:
        encoded = loaded.signatures["serving_bytes"]
        spec = ImageSpec.from_dict(contract["image_spec"])
        roads[contracts.IMAGE_BYTES] = lambda images: encoded(
            image_bytes=tf.constant([_png(image, spec) for image in images])
        )[contracts.PROBABILITIES].numpy()
    (received,) = default.structured_input_signature[1].values()
    ((name, given),) = default.structured_outputs.items()
    return Opened(
        roads,
        {
            "name": received.name,
            "dtype": received.dtype.name,
            "shape": received.shape.as_list(),
        },
        {"name": name, "dtype": given.dtype.name, "shape": given.shape.as_list()},
        contract,
    )


def _open_tflite(path: Path, threads: int) -> Opened:
    from serving.inference.tflite_runtime import open_interpreter

    interpreter = open_interpreter(path, threads)
    runner = interpreter.get_signature_runner("serving_default")

    def described(details: dict) -> dict:
        ((name, tensor),) = details.items()
        shape = [None if axis < 0 else int(axis) for axis in tensor["shape_signature"]]
        return {"name": name, "dtype": np.dtype(tensor["dtype"]).name, "shape": shape}

    return Opened(
        {contracts.IMAGE: lambda images: runner(image=images)[contracts.PROBABILITIES]},
        described(runner.get_input_details()),
        described(runner.get_output_details()),
        contracts.read_tflite(path),
    )


def _open_onnx(path: Path, threads: int) -> Opened:
    from serving.inference.onnx_runtime import open_session

    session = open_session(path, threads, gpu=False)
    types = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}

    def described(values: list) -> dict:
        (value,) = values
        shape = [axis if isinstance(axis, int) else None for axis in value.shape]
        return {
            "name": value.name,
            "dtype": types.get(value.type, value.type),
            "shape": shape,
        }

    return Opened(
        {contracts.IMAGE: lambda images: session.run(None, {contracts.IMAGE: images})[0]},
        described(session.get_inputs()),
        described(session.get_outputs()),
        contracts.from_onnx_session(session, path),
    )


def _png(image: np.ndarray, spec: ImageSpec) -> bytes:
    """A file of the packed size, with a black margin, in whose centre `spec` finds the image."""
    top, left = spec.margin_height // 2, spec.margin_width // 2
    margins = ((top, spec.margin_height - top), (left, spec.margin_width - left), (0, 0))
    image = np.pad(image, margins)
    encoded = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(encoded, "PNG")
    return encoded.getvalue()


def _sentence(error: BaseException) -> str:
    first = (str(error).strip() or "no message").splitlines()[0]
    return first if isinstance(error, ValueError) else f"{type(error).__name__}: {first}"


def main(arguments: list[str]) -> None:
    """Writes the records as JSON to `output`; whether they passed is not in the exit code."""
    args = json.loads(Path(arguments[0]).read_text())
    atomic.write(args["output"], json.dumps(verify(args), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
