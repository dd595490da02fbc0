"""Each runtime is opened in one place, which says what is missing."""

import sys

import pytest

from serving.inference.errors import NotServable, RuntimeMissing
from serving.inference.onnx_runtime import open_session
from serving.inference.tflite_runtime import open_interpreter
from tests.helpers.serving_fixtures import REPOSITORY, onnx_bytes

OPENERS = {
    "onnx": (open_session, "onnxruntime", "onnxruntime"),
    "tflite": (open_interpreter, "ai_edge_litert.interpreter", "ai-edge-litert"),
}


@pytest.mark.parametrize("name", OPENERS)
def test_a_missing_package_is_named_and_is_no_fault_of_the_file(monkeypatch, name):
    opener, module, package = OPENERS[name]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RuntimeMissing, match=f"needs the package {package}, .* pip install"):
        opener("model")
    assert issubclass(RuntimeMissing, ImportError)  # what parity takes for the machine's fault


@pytest.mark.parametrize("name", OPENERS)
def test_a_file_that_is_no_model_cannot_be_served(tmp_path, name):
    (tmp_path / "model").write_bytes(b"no model")
    with pytest.raises(NotServable, match="cannot load .*model"):
        OPENERS[name][0](tmp_path / "model")


def test_models_are_opened_with_the_threads_that_are_asked_for(tmp_path):
    (tmp_path / "model.onnx").write_bytes(onnx_bytes())
    session = open_session(tmp_path / "model.onnx", threads=1, gpu=False)
    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_providers() == ["CPUExecutionProvider"]
    interpreter = open_interpreter(REPOSITORY / "tests/data/centroids.tflite", threads=1)
    assert interpreter.get_input_details()[0]["shape"].tolist()[1:] == [8, 8, 1]
