"""One artifact beside its source: `python -m export.verification.parity ARGS.json`.

In a process of its own, which imports only the runtime that the artifact needs, so that nothing of
the exporting process can help it along.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.base import atomic
from components.base.commands import Arguments, run
from components.data.arrays import ImageArrays, evenly
from export.formats import contract as contracts
from export.verification.config import BATCHES, LARGE_IMAGES
from export.verification.held_out import HeldOut
from export.verification.records import blank_record
from export.verification.runtimes import Opened, Signature, open_artifact
from serving.contract import release_files
from serving.contract.release_files import FORMATS

_OF_THE_MACHINE = (ImportError, MemoryError)
_INPUT = {"name": contracts.IMAGE, "dtype": "uint8"}
_OUTPUT = {"name": contracts.PROBABILITIES, "dtype": "float32"}
_ROUNDED = 0.01
"""What probabilities in reduced precision may be below 0, and their sums off 1."""


class ParityArgs(Arguments):
    """Arguments of `parity`."""

    artifact: str
    """A name in `release_files.FORMATS`."""
    path: Path
    arrays: Path
    predictions: Path
    """Directory of the source framework's own probabilities, see held_out.py."""
    examples: Path | None = None
    """Ingest's artifact: a signature that takes files is given those that the images are from."""
    images: int
    """How many held-out images to run at each batch size but the last, at which all are, as they
    are of reduced precision at every size; where the split test has fewer, val fills up."""
    large: bool = False
    """Whether the images are large ones, which are run less often: LARGE_IMAGES of them at all
    batch sizes but the last, in reduced precision one of eight at the least, and as many by other
    signatures than `image`. Those that were not run count as `image` answered them at the last
    size. A fault that comes with the size, or with what a signature does to a file, shows so as
    well."""
    batches: tuple[int, ...] = BATCHES
    tie: float = 0.0
    """Probabilities of the source that differ by no more than twice this are equal: which of their
    classes comes first is decided by rounding."""
    lineage: str | None = None
    """What the contract inside must say, if it matters."""
    threads: int = 2
    golden: Path | None = None
    """npy to write: its answers to `HeldOut.golden`, float32 (n, classes)."""
    output: Path
    """JSON to write: the records of `measure`. Whether they passed is not in the exit code."""


def measure(args: ParityArgs) -> list[dict]:
    """One record for each batch size in `args.batches`.

    A record holds artifact, batch, images (the number compared), max_difference, mean_difference
    (over images, of each one's largest), agreement (share of equal top-1 labels), accuracy and
    source_accuracy (all None where they cannot be had), bytes and sha256 of the artifact (see
    `release_files.py`), `contract` (the digest of the one inside), and `error`: None, or a sentence
    saying what is wrong.

    Raises ValueError or OSError for arrays and predictions that cannot be used, ImportError and
    MemoryError: these say nothing about the artifact.
    """
    arrays, path = ImageArrays(args.arrays), args.path
    held = HeldOut(arrays, args.predictions, args.images, args.examples)
    blank = blank_record(args.artifact) | {"bytes": release_files.size(path)}
    try:
        blank["sha256"] = release_files.sha256(path)
        opened = open_artifact(args.artifact, path, args.threads)
        if wrong := disagreement(args.artifact, opened, arrays, args.lineage):
            raise ValueError(wrong)
        blank["contract"] = contracts.digest(opened.contract)
    except _OF_THE_MACHINE:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a runtime raises is a failed record)
        return [blank | {"batch": batch, "error": _sentence(error)} for batch in args.batches]
    reduced, found = FORMATS[args.artifact].optional, {}
    answered: Answers | None = {} if args.large else None
    for batch in reversed(args.batches):
        # Shares of some images only would leave a good int8 out, or let a bad one pass, by chance.
        every = batch == args.batches[-1] or (reduced and not args.large)
        some = min(args.images, LARGE_IMAGES) if args.large else args.images
        some = max(some, len(held) // 8) if reduced else some
        rows = evenly(len(held), len(held) if every else some)
        try:
            measured: dict = compare(opened.signatures, held, rows, batch, args.tie, answered)
        except _OF_THE_MACHINE:
            raise
        except Exception as error:  # noqa: BLE001
            measured = {"error": _sentence(error)}
        found[batch] = blank | {"batch": batch, "images": len(rows)} | measured
    records = [found[batch] for batch in args.batches]
    if args.golden is not None and not any(record["error"] for record in records):
        args.golden.parent.mkdir(parents=True, exist_ok=True)
        np.save(args.golden, opened.signatures[contracts.IMAGE](held.images(held.golden)))
    return records


Answers = dict[str, np.ndarray]
"""Of each signature, float32 (N, classes) for all held-out images."""


def compare(
    signatures: dict[str, Signature],
    held: HeldOut,
    rows: np.ndarray,
    batch: int,
    tie: float = 0.0,
    answered: Answers | None = None,
) -> dict[str, float]:
    """Largest probability difference, the mean over images of their largest one, share of equal
    top-1 labels and accuracy on these rows, the worst of all signatures, and the source's accuracy
    on them.

    With `answered` all but the largest difference are of all held-out images: those that are not
    among `rows` count as it says. A call with all of the rows, `image` first, fills it, and runs
    the other signatures on some, see `ParityArgs.large`.

    Raises ValueError for an answer that is not finite, has another shape or type or is no
    probabilities, and for a source whose answers are not finite.
    """
    judged = rows if answered is None else np.arange(len(held))
    expected, labels = held.probabilities[judged], held.labels[judged]
    if not np.isfinite(expected).all():
        raise ValueError("the source model gives probabilities that are not finite.")
    top = expected.argmax(1)
    worst = {"max_difference": 0.0, "mean_difference": 0.0, "agreement": 1.0, "accuracy": 1.0}
    for name, signature in signatures.items():
        answers, largest, asked = np.zeros_like(expected), 0.0, rows
        if answered:
            answers[:] = answered.get(name, answered[contracts.IMAGE])
            asked = (
                rows if name in answered else evenly(len(held), max(LARGE_IMAGES, len(held) // 8))
            )
        for some in batches(len(asked), batch):
            inputs = held.encoded if name == contracts.IMAGE_BYTES else held.images
            received = signature(inputs(asked[some]))
            _check_answer(name, received, (len(some), expected.shape[1]))
            places = some if answered is None else asked[some]
            largest = max(largest, float(np.abs(received - expected[places]).max()))
            answers[places] = received
        if answered is not None:
            answered.setdefault(name, answers)
        answer = _untied(answers.argmax(1), expected, top, tie)
        worst = {
            "max_difference": max(worst["max_difference"], largest),
            "mean_difference": max(
                worst["mean_difference"], float(np.abs(answers - expected).max(1).mean())
            ),
            "agreement": min(worst["agreement"], float((answer == top).mean())),
            "accuracy": min(worst["accuracy"], float((answer == labels).mean())),
        }
    return worst | {"source_accuracy": float((top == labels).mean())}


def _untied(answer: np.ndarray, expected: np.ndarray, top: np.ndarray, tie: float) -> np.ndarray:
    """The artifact's labels, int64 (N,); the source's own where that gives both the same chance."""
    every = np.arange(len(answer))
    tied = expected[every, top] - expected[every, answer] <= 2 * tie
    return np.where(tied, top, answer)


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


def disagreement(
    artifact: str, opened: Opened, arrays: ImageArrays, lineage: str | None
) -> str | None:
    """What in the artifact's interface or contract is not as it must be, or None."""
    contract, (height, width, channels) = opened.contract, arrays.spec.shape
    shape = [None, height, width, 3 if FORMATS[artifact].from_grey else channels]
    expectations = [
        ("its input", opened.input, {**_INPUT, "shape": shape}),
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


def _check_answer(signature: str, received: np.ndarray, shape: tuple[int, int]) -> None:
    if received.shape != shape or received.dtype != np.float32:
        raise ValueError(
            f"{signature} gives {received.dtype} {received.shape}, expected float32 {shape}."
        )
    if not np.isfinite(received).all():
        raise ValueError(f"{signature} gives probabilities that are not finite.")
    # Of reduced precision too, whose numbers may be off, but not by what no softmax gives: integers
    # of 256 levels are rounded by up to half a level for each class.
    sums = received.sum(axis=1, dtype=np.float64)
    if received.min() < -_ROUNDED or np.abs(sums - 1).max() > _ROUNDED + shape[1] / 512:
        raise ValueError(
            f"{signature} gives numbers from {received.min():.3g} whose sums are {sums.min():.3g} "
            f"to {sums.max():.3g}, expected probabilities that add up to 1."
        )


def _sentence(error: BaseException) -> str:
    first = (str(error).strip() or "no message").splitlines()[0]
    return first if isinstance(error, ValueError) else f"{type(error).__name__}: {first}"


def main(args: ParityArgs) -> None:
    """Writes the records that `args` asks for."""
    atomic.write(args.output, json.dumps(measure(args), indent=1) + "\n")


if __name__ == "__main__":
    run("export.verification.parity", ParityArgs, main)
