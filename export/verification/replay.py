"""One artifact of a release against its golden answers:
`python -m export.verification.replay ARGS.json`, in a process of its own.
"""

import json
from pathlib import Path

import numpy as np

from components.base import atomic
from components.base.commands import Arguments, run
from export.formats import contract as contracts
from export.verification.held_out import encode_png
from export.verification.records import TOLERANCES
from export.verification.runtimes import open_artifact
from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import CONTRACT, FORMATS, GOLDEN
from serving.inference.errors import RuntimeMissing


class ReplayArgs(Arguments):
    """Arguments of `replay`."""

    release: Path
    artifact: str
    """A name in `release_files.FORMATS`."""
    threads: int = 2
    output: Path
    """JSON to write: what `replay` gives."""


def replay(args: ReplayArgs) -> dict:
    """`state` (agrees, differs or unchecked), `images` (their number), `max_difference` (None
    where it did not come to that) and `reason`, a sentence where it does not agree."""
    row = FORMATS[args.artifact]
    with np.load(args.release / GOLDEN) as golden:
        images = golden["image"]
        key = "probabilities" if row.precision == "float32" else row.name
        if key not in golden:
            return _found("differs", len(images), None, f"{GOLDEN} holds no answers of {row.name}")
        expected = golden[key]
    spec = ImageSpec.from_dict(json.loads((args.release / CONTRACT).read_text())["image_spec"])
    most, largest = TOLERANCES[row.precision], 0.0
    try:
        opened = open_artifact(row.name, row.in_release(args.release), args.threads)
        for name, signature in opened.signatures.items():
            files = name == contracts.IMAGE_BYTES
            inputs = [encode_png(image, spec) for image in images] if files else images
            received = signature(inputs)
            difference = float(np.abs(received - expected).max())
            largest = max(largest, difference if np.isfinite(difference) else np.inf)
    except (ImportError, RuntimeMissing):
        return _found("unchecked", len(images), None, f"{row.package} is not installed")
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises
        return _found("differs", len(images), None, f"it does not run: {error}")
    if largest <= most:
        return _found("agrees", len(images), largest)
    return _found("differs", len(images), largest, f"expected a difference of at most {most:g}")


def _found(state: str, images: int, difference: float | None, reason: str = "") -> dict:
    return {"state": state, "images": images, "max_difference": difference, "reason": reason}


def main(args: ReplayArgs) -> None:
    """Writes what `args` asks for."""
    atomic.write(args.output, json.dumps(replay(args)) + "\n")


if __name__ == "__main__":
    run("export.verification.replay", ReplayArgs, main)
