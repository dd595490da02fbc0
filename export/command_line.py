"""`python -m export MODEL_DIR OUT`: any trained model by hand, with nothing but its directory.

What the model was trained on is found beside it, as a run leaves both; elsewhere it is named.
"""

import argparse
import json
from pathlib import Path

from components.base.commands import UsageError
from components.base.frameworks import IMPORTED
from components.base.process import HOURS, run_module
from components.data.arrays import ImageArrays
from components.evaluation.predictions import PredictArgs
from components.networks.network import Network
from export.exporter import ExportArgs
from export.formats import contract as contracts
from export.verification.config import ExportConfig
from export.verification.held_out import SPLITS
from serving.contract.release_files import FORMATS

_PREDICTIONS = "predictions"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m export",
        description="Export a trained model and verify every artifact against it.",
        epilog="A single ARGS.json is what a run hands over: see export/exporter.py.",
    )
    made.add_argument("model", type=Path, metavar="MODEL_DIR", help="a trainer's model directory")
    made.add_argument("output", type=Path, metavar="OUT", help="directory to fill")
    every = ", ".join(FORMATS)
    made.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        metavar="FORMAT",
        default=[],
        help=f"some of {every} (default: all that the model has)",
    )
    for name, what in {
        "--arrays": "packed images (default: those beside the model)",
        "--transform": "TransformGraph for the SavedModel's signature serving_bytes",
        "--predictions": "the model's own answers, with its temperature (default: made, without)",
    }.items():
        made.add_argument(name, type=Path, metavar="DIR", help=what)
    made.add_argument(
        "--images", type=_positive, default=256, help="held-out images run at small batch sizes"
    )
    return made


def arguments(argv: list[str]) -> tuple[ExportArgs, PredictArgs | None]:
    """What a command line asks for, and, where it names no predictions, what makes them first
    (`predict`). Raises UsageError for what does not fit together; writes nothing."""
    options = parser().parse_args(argv)
    try:
        network = Network.load(options.model)
        arrays = options.arrays or _beside(options.model, network)
        spec = ImageArrays(arrays).spec
    except ValueError as error:
        raise UsageError(str(error)) from error
    possible = contracts.formats(network)
    if impossible := [name for name in options.formats if name not in possible]:
        raise UsageError(
            f"{options.model} cannot be exported as {', '.join(impossible)}: a model of "
            f"{network.framework} like it has {', '.join(possible)}."
        )
    if spec.shape != network.spec.shape:
        raise UsageError(f"{arrays} holds images of {spec.shape}, expected {network.spec.shape}.")
    predictions = options.predictions or options.output / _PREDICTIONS
    asked = None if options.predictions else _to_predict(options.model, arrays, predictions)
    formats = set(options.formats)
    # What reduces precision starts from the float32 file.
    formats |= {"onnx"} if formats else set()
    limits = ExportConfig(formats=tuple(n for n in FORMATS if n in formats), images=options.images)
    args = ExportArgs.model_validate(
        {
            "models": {network.framework: options.model},
            "arrays": arrays,
            "predictions": {network.framework: predictions},
            "transform_graph": options.transform,
            "output": options.output,
            "export": limits,
        }
    )
    return args, asked


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, expected 1 or more")
    return int(text)


def _beside(model: Path, network: Network) -> Path:
    """The newest packed images of the same run's root that the network takes."""
    root = model.resolve() / "../../.."  # of artifacts/train_torch/model/N
    packed = sorted(root.glob("pack/arrays/*"), key=_number, reverse=True)
    for directory in packed:
        labels = directory / "labels.json"
        if labels.is_file() and json.loads(labels.read_text()) == list(network.labels):
            if ImageArrays(directory).spec == network.spec:
                return directory
    raise UsageError(
        f"no packed images that {model} was trained on were found beside it: name them by --arrays "
        "(out/artifacts/pack/arrays/N); without images nothing can be verified."
    )


def _number(path: Path) -> int:
    return int(path.name) if path.name.isdecimal() else -1


def _to_predict(model: Path, arrays: Path, directory: Path) -> PredictArgs:
    present = [name for name in SPLITS if len(ImageArrays(arrays).split(name))]
    outputs = {name: directory / f"{name}.npz" for name in present}
    return PredictArgs(model_dir=model, arrays=arrays, outputs=outputs)


def predict(asked: PredictArgs, framework: str) -> None:
    """Writes the model's own predictions. Raises StepFailed."""
    (directory, *_) = {path.parent for path in asked.outputs.values()}
    module, imports = f"components.evaluation.{framework}_predict", IMPORTED[framework]
    run_module(module, asked, directory, seconds=HOURS, gpu=False, imports=imports)
