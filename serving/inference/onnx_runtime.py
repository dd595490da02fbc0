"""ONNX Runtime sessions: threads and providers in one place."""

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import Any

from serving.contract.release_files import FORMATS
from serving.inference.errors import NotServable, RuntimeMissing


def open_session(
    path: str | Path, threads: int = 0, gpu: bool = True, content: bytes | None = None
) -> Any:
    """An ONNX Runtime `InferenceSession`, on CUDA where it is available and `gpu` allows it, else
    on the CPU with `threads` threads, 0 for all cores. With `content` the model is that, and `path`
    only what it is called.

    Raises NotServable when the file cannot be loaded, RuntimeMissing without ONNX Runtime.
    """
    # It would report to its makers otherwise, from 1.32 on.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissing(path, FORMATS["onnx"].package) from error
    onnxruntime.set_default_logger_severity(4)  # missing GPUs are not worth a warning
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle workers must not take the cores that the event loop and other processes need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list = ["CPUExecutionProvider"]
    if gpu and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # It prints, on standard output too, what of CUDA it does not find.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            onnxruntime.preload_dlls()
        # TF32 keeps 10 bits of a product: enough to leave the golden tolerance.
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))
    try:
        model = str(path) if content is None else content
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime's own exception types are not public
        reason = str(error).strip().splitlines()[-1]
        raise NotServable(f"ONNX Runtime cannot load {path}: {reason}") from error
