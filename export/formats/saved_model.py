"""SavedModel for TF Serving and Triton: inference only, float32, two signatures.

`serving_default` takes `image`, `serving_bytes` takes `image_bytes`, see inference.py.
"""

import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.formats import contract as contracts
from export.formats.inference import Inference
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import CONTRACT_IN_SAVED_MODEL

WARMUP = "assets.extra/tf_serving_warmup_requests"
_WARMUP_BATCHES = (1, 8)


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
    write_warmup(directory / WARMUP, contract, list(signatures))
    return directory


def write_warmup(path: Path, contract: dict, signatures: list[str]) -> None:
    """Requests that TensorFlow Serving runs before it calls the model available
    (https://www.tensorflow.org/tfx/serving/saved_model_warmup): a grey image for each signature,
    alone and several at once, so that no client's first request waits for memory and kernels."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    image = np.full(contract["input"]["shape"][1:], 128, np.uint8)
    file = tf.io.encode_png(image).numpy()
    inputs = {
        "serving_default": (contracts.IMAGE, image),
        "serving_bytes": (contracts.IMAGE_BYTES, file),
    }
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in signatures:
            name, value = inputs[signature]
            for batch in _WARMUP_BATCHES:
                request = predict_pb2.PredictRequest()
                request.model_spec.signature_name = signature
                request.inputs[name].CopyFrom(tf.make_tensor_proto(np.array([value] * batch)))
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString(deterministic=True))
