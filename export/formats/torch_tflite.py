"""TFLite of a user's own PyTorch network, which has no Keras twin, by the optional litert-torch.

litert-torch is no part of the lock, as it brings JAX and older releases of what the line uses.
It converts a network for one batch size only (0.10 fails on a dynamic one), so that this is undone
afterwards: the leading axis of everything computed is the batch. Verification, at several batch
sizes, says whether that holds.

To be run in a process without TensorFlow, as everything that PyTorch exports.
"""

import contextlib
import importlib.util
import io
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.formats.quantised_tflite import quantise
from export.formats.tflite_file import SIGNATURE, opened, packed, with_contract
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import FORMATS
from serving.inference.tflite_runtime import quiet

PACKAGE = "litert-torch"
_BATCH = 7
"""Traced with: a number that no other axis is likely to have."""


def available() -> bool:
    """Whether litert-torch is installed."""
    return importlib.util.find_spec("litert_torch") is not None


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes a PyTorch model as a TFLite file, as `tflite.export` does a Keras one's.

    Raises ValueError where litert-torch is not installed.
    """
    path = Path(path)
    beside = path.with_name(FORMATS["tflite"].file)
    if precision != "float32" and beside.is_file():
        content = beside.read_bytes()
    else:
        content = _float32(model)
    if precision != "float32":
        images = model.calibration_images if precision == "int8" else None
        content = quantise(content, precision, images)
    path.write_bytes(with_contract(content, model.contract))
    return path


def _float32(model: TrainedModel) -> bytes:
    if not available():
        raise ValueError(
            f"a PyTorch network of your own becomes TFLite by {PACKAGE}, which is not installed: "
            f"pip install {PACKAGE}, build it in Keras too, or leave TFLite out of export.formats"
        )
    import litert_torch
    import torch

    images = torch.zeros((_BATCH, *model.network.spec.shape), dtype=torch.uint8)
    with (
        tempfile.TemporaryDirectory(prefix="darkroom-") as scratch,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        made = Path(scratch, "made.tflite")
        litert_torch.convert(model.torch_inference, (images,)).export(str(made))
        content = of_any_batch(made.read_bytes(), _BATCH)
    _try(content, model.network.spec.shape)
    return content


def _try(content: bytes, shape: tuple[int, ...]) -> None:
    """Raises ValueError where the file does not run for one image and for two."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        runner = Interpreter(model_content=content).get_signature_runner(SIGNATURE)
        (name,) = runner.get_input_details()
        try:
            for batch in (1, 2):
                runner(**{name: np.zeros((batch, *shape), np.uint8)})
        except RuntimeError as error:
            found = re.search(r"kernels/(\w+)\.", str(error))
            raise ValueError(
                f"the network needs the operation {found[1] if found else 'of some layer'} for a "
                f"fixed number of images as {PACKAGE} converts it, expected any number: build it "
                "of other layers (BatchNorm in place of GroupNorm, say), build it in Keras too, or "
                "leave TFLite out of export.formats"
            ) from error


def of_any_batch(content: bytes, batch: int) -> bytes:
    """The TFLite file `content`, made for `batch` images, for any number, by default one."""
    held = opened(content)
    (graph,) = held.subgraphs
    computed = {i for op in graph.operators for i in op.outputs} | set(graph.inputs)
    for index in computed:
        tensor = graph.tensors[index]
        if len(tensor.shape) and tensor.shape[0] == batch:
            tensor.shapeSignature = np.array([-1, *tensor.shape[1:]], np.int32)
            tensor.shape = np.array([1, *tensor.shape[1:]], np.int32)
    for op in graph.operators:
        code = held.operatorCodes[op.opcodeIndex].builtinCode
        if code == schema.BuiltinOperator.RESHAPE:
            _free_leading(held, graph, op, batch)
    return packed(held)


def _free_leading(held: Any, graph: Any, op: Any, batch: int) -> None:
    """Makes the leading axis of a reshape whatever it comes to."""
    buffer = held.buffers[graph.tensors[op.inputs[1]].buffer]
    target = np.array(buffer.data, np.uint8).view(np.int32)
    if target[0] == batch:
        target[0] = -1
        buffer.data = target.view(np.uint8)
        if op.builtinOptions is not None:
            op.builtinOptions.newShape = target
