"""Asking a running server in every way that it understands."""

import http.client
import json

import grpc
import numpy as np

from serving.server.oip_grpc import SERVICE
from serving.server.tf_serving_grpc import PREDICTION
from tests.helpers.grpc_servers import Client

_LENGTH = "Inference-Header-Content-Length"


class Asking:
    """One client with kept connections: each method gives float32 (N, classes) for uint8
    (N, H, W, C), by another protocol or encoding."""

    def __init__(self, http_port: int, grpc_port: int, model: str = "digits"):
        self._http = http.client.HTTPConnection("127.0.0.1", http_port, timeout=30)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
        self._grpc = Client(self._channel, SERVICE)
        self._model = model

    def close(self) -> None:
        self._http.close()
        self._channel.close()

    def post(self, path: str, body: bytes, **headers: str) -> tuple[bytes, dict[str, str]]:
        self._http.request("POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = self._http.getresponse()
        content = response.read()
        assert response.status == 200, content
        return content, {name.lower(): value for name, value in response.getheaders()}

    def _infer(self, body: bytes, **headers: str) -> tuple[bytes, dict[str, str]]:
        return self.post(f"/v2/models/{self._model}/infer", body, **headers)

    def oip_json(self, images: np.ndarray) -> np.ndarray:
        tensor = _tensor(images) | {"data": images.ravel().tolist()}
        content, _ = self._infer(json.dumps({"inputs": [tensor]}).encode())
        (output,) = json.loads(content)["outputs"]
        return np.array(output["data"], np.float32).reshape(output["shape"])

    def oip_binary(self, images: np.ndarray) -> np.ndarray:
        tensor = _tensor(images) | {"parameters": {"binary_data_size": images.nbytes}}
        wish = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
        text = json.dumps(wish).encode()
        return _binary(*self._infer(text + images.tobytes(), **{_LENGTH: str(len(text))}))

    def oip_raw(self, images: np.ndarray) -> np.ndarray:
        """A request for each image: that is all it can hold."""
        rows = [self._infer(image.tobytes(), **{_LENGTH: "0"}) for image in images]
        return np.concatenate([_binary(*row) for row in rows])

    def grpc_raw(self, images: np.ndarray) -> np.ndarray:
        return self._grpc_answer(_tensor(images), raw_input_contents=[images.tobytes()])

    def grpc_contents(self, images: np.ndarray) -> np.ndarray:
        return self._grpc_answer(_tensor(images) | {"contents": {"uint_contents": images.ravel()}})

    def _grpc_answer(self, tensor: dict, **fields) -> np.ndarray:
        answer = self._grpc("ModelInfer", model_name=self._model, inputs=[tensor], **fields)
        (content,) = answer.raw_output_contents
        return np.frombuffer(content, "<f4").reshape(answer.outputs[0].shape)

    def tf_rows(self, images: np.ndarray) -> np.ndarray:
        return self._predict({"instances": images.tolist()})

    def tf_columns(self, images: np.ndarray) -> np.ndarray:
        return self._predict({"inputs": {"image": images.tolist()}})

    def _predict(self, body: dict) -> np.ndarray:
        content, _ = self.post(f"/v1/models/{self._model}:predict", json.dumps(body).encode())
        (answer,) = json.loads(content).values()
        return np.array(answer, np.float32)

    def tf_grpc(self, images: np.ndarray) -> np.ndarray:
        predict = Client(self._channel, PREDICTION)
        shape = {"dim": [{"size": size} for size in images.shape]}
        tensor = {"dtype": "DT_UINT8", "tensor_shape": shape, "tensor_content": images.tobytes()}
        spec = {"name": self._model}
        answer = predict("Predict", model_spec=spec, inputs={"image": tensor})
        output = answer.outputs["probabilities"]
        shape = [dim.size for dim in output.tensor_shape.dim]
        return np.array(output.float_val, np.float32).reshape(shape)


ENCODINGS = (
    *("oip_json", "oip_binary", "oip_raw", "grpc_raw", "grpc_contents"),
    *("tf_rows", "tf_columns", "tf_grpc"),
)


def _tensor(images: np.ndarray) -> dict:
    return {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}


def _binary(content: bytes, headers: dict[str, str]) -> np.ndarray:
    size = int(headers[_LENGTH.lower()])
    (output,) = json.loads(content[:size])["outputs"]
    return np.frombuffer(content[size:], "<f4").reshape(output["shape"])
