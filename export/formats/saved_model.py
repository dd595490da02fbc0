"""SavedModel for TF Serving and Triton: inference only, float32, two signatures.

`serving_default` takes `image`, `serving_bytes` takes `image_bytes`, see inference.py.
"""

import shutil
from pathlib import Path

import tensorflow as tf

from export.formats import contract as contracts
from export.formats.inference import Inference
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import CONTRACT_IN_SAVED_MODEL


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the model as a SavedModel; replaces an earlier one."""
    del precision
    return write(model.inference, model.contract, path)


def write(module: Inference, contract: dict, directory: str | Path) -> Path:
    """Writes the SavedModel, with the contract in `assets.extra/`; replaces an earlier one."""
    directory = Path(directory)
    shutil.rmtree(directory, ignore_errors=True)
    signatures = {"serving_default": module.image.get_concrete_function()}
    if module.image_bytes is not None:
        signatures["serving_bytes"] = module.image_bytes.get_concrete_function()
    tf.saved_model.save(module, str(directory), signatures=signatures)
    extra = directory / CONTRACT_IN_SAVED_MODEL
    extra.parent.mkdir()
    extra.write_text(contracts.to_json(contract) + "\n")
    return directory
