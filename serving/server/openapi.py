"""The interface as an OpenAPI 3.1 document, with the models that are served filled in.

What a request may hold is in `openapi_schemas`, what it may look like in `openapi_examples`.
"""

from typing import Any

from serving import __version__
from serving.inference.model import Model
from serving.server import classification, descriptions, tf_serving_rest
from serving.server import openapi_examples as examples
from serving.server.dataplane import Dataplane, Served
from serving.server.openapi_schemas import ref, schemas

_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp")
_MOST_LISTED = 20
"""Classes of a model that are named."""
_GROUPS = {
    "Inference": "An image in, probabilities or labels out.",
    "Models": "What is served, and whether it is ready.",
    "Repository": "What could be served: Triton's model repository extension.",
    "TensorFlow Serving": "The REST interface of TensorFlow Serving, for clients that speak it.",
    "Server": "Pages, this document, and figures for Prometheus.",
}
_PROBLEMS = {
    "400": ("Invalid", "The request is not what the interface or the model asks for."),
    "401": ("Unauthorised", "The token is missing or another one."),
    "403": ("Forbidden", "The server was started without --allow-load."),
    "404": ("NotFound", "The model or the version is not served."),
    "408": ("Late", "The request did not arrive in time; the connection is closed."),
    "413": ("TooLarge", "The body is over the limit of bytes, or holds too many images."),
    "501": ("NotOffered", "The body has a Content-Encoding other than gzip and deflate."),
    "503": ("Unavailable", "Too much to do, still starting, or about to stop: try again."),
}
_HEADERS = {
    "401": {"WWW-Authenticate": "Bearer"},
    "501": {"Accept-Encoding": "gzip, deflate"},
    "503": {"Retry-After": "1"},
}


def document(dataplane: Dataplane, guarded: bool) -> dict:
    """`guarded`: whether clients must send a token."""
    return _Document(dataplane, guarded).build()


class _Document:
    def __init__(self, dataplane: Dataplane, guarded: bool):
        self._dataplane = dataplane
        self._guarded = guarded
        self._served = dataplane.models()
        self._paths: dict[str, dict] = {}

    def build(self) -> dict:
        self._inference()
        self._models()
        self._repository()
        self._tf_serving()
        self._server()
        token = {"type": "http", "scheme": "bearer", "description": "What --token-file holds."}
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Darkroom model server",
                "version": __version__,
                "description": self._about(),
            },
            "security": [{"token": []}] if self._guarded else [{}, {"token": []}],
            "tags": [{"name": name, "description": text} for name, text in _GROUPS.items()],
            "paths": self._paths,
            "components": {
                "securitySchemes": {"token": token},
                "parameters": self._parameters(),
                "responses": {name: _problem(status) for status, (name, _) in _PROBLEMS.items()},
                "schemas": schemas([served.default.model for served in self._served]),
            },
        }

    def _about(self) -> str:
        limits = self._dataplane.limits
        most = f"{limits.body_bytes / 2**20:g} MiB"
        served = "\n".join(f"- {_described(served)}" for served in self._served) or "- nothing yet"
        return (
            "Image classifiers over HTTP: the Open Inference Protocol v2 with Triton's extensions"
            " for binary tensors, classification, model configuration, model repository and"
            " statistics, and the REST interface of TensorFlow Serving.\n\n"
            f"Served now:\n\n{served}\n\n"
            'Every problem is answered with `{"error": "..."}`, a sentence for people. Whatever'
            " the path, 400 says that the request is not HTTP/1.1, 405 that the method is another"
            " (`Allow` names those that there are), 408 that the request stalled, 431 that its"
            " headers are too many. Tracing, logging and shared memory, and TensorFlow Serving's"
            " classify and regress, are answered 501: they are not offered.\n\n"
            f"A body may have {most}, and may be sent with Content-Encoding gzip or deflate. Paths"
            " may end with a slash."
        )

    # The groups.

    def _inference(self) -> None:
        version = _first(self._served)
        found = ["404", "413", "501"]
        picture = {kind: {"schema": ref("File")} for kind in _IMAGES}
        self._add(
            "post",
            [
                "/v2/models/{model_name}/classify",
                "/v2/models/{model_name}/versions/{version}/classify",
            ],
            "classify",
            "Inference",
            "An image file in, labels out",
            "Not of the protocol: for people, pages and scripts. The type is told from the content:"
            f" {', '.join(kind.removeprefix('image/').upper() for kind in _IMAGES)}. The image is"
            " turned upright and fitted to the model's size as at training.",
            {"200": _json(ref("Classification"), examples.classified(version))},
            ["400", *found],
            parameters=[ref("top", "parameters")],
            body=picture,
        )
        binary = {"schema": ref("Bytes")}
        self._add(
            "post",
            ["/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{version}/infer"],
            "infer",
            "Inference",
            "Images in, probabilities out",
            "Pixels go in the input of the model, encoded images in the input `image_bytes`. JSON"
            " for everybody; `application/octet-stream` is JSON with the bytes of the tensor behind"
            " it (UINT8 pixels in row-major order, or each file behind its length in 4 bytes,"
            " little-endian), and with `Inference-Header-Content-Length: 0` the bytes of one image"
            " alone, as pixels or as a file. With an image's content type the body is a file.\n\n"
            "`outputs` may ask for text, `value:index:label` of the most probable classes"
            " (`classification`), and for bytes instead of JSON (`binary_data`).",
            {
                "200": _answer(
                    "The probabilities, or the most probable classes as text.",
                    {
                        **_json(ref("InferResponse"), examples.inferred(version))["content"],
                        "application/octet-stream": binary,
                    },
                    {
                        "Inference-Header-Content-Length": {
                            "description": "How many bytes are JSON, when others follow.",
                            "schema": {"type": "integer"},
                        }
                    },
                )
            },
            ["400", *found],
            parameters=[ref("header_length", "parameters")],
            body={
                "application/json": {
                    "schema": ref("InferRequest"),
                    "examples": examples.infer_bodies(version),
                },
                "application/octet-stream": binary,
                **picture,
            },
        )  # fmt: skip

    def _models(self) -> None:
        served, version = next(iter(self._served), None), _first(self._served)
        self._get("/v2/health/live", "live", "Models", "Whether the process answers",
            _json(ref("Live"), {"live": True}), open=True)  # fmt: skip
        self._get("/v2/health/ready", "ready", "Models", "Whether all models are loaded",
            _json(ref("Ready"), {"live": True, "ready": True}),
            "503 while the first models are loaded, and from SIGTERM on.", open=True)  # fmt: skip
        unavailable = {"oneOf": [ref("Ready"), ref("Error")]}
        self._paths["/v2/health/ready"]["get"]["responses"]["503"] = _answer(
            "Not ready; an error when there are too many connections.",
            {"application/json": {"schema": unavailable}},
        )
        self._get("/v2", "server", "Models", "The server",
            _json(ref("Server"), descriptions.server()))  # fmt: skip
        names = {"models": [served.name for served in self._served]}
        self._get("/v2/models", "models", "Models", "Names of the models served",
            _json(ref("Models"), names), "Not of the protocol.")  # fmt: skip
        model = "/v2/models/{model_name}"
        both = [model, f"{model}/versions/{{version}}"]
        about = served and version and descriptions.metadata(version, descriptions.numbers(served))
        self._get(both, "metadata", "Models", "Inputs, outputs and versions of a model",
            _json(ref("Metadata"), about), problems=["404"])  # fmt: skip
        ready = version and {"name": version.name, "ready": True}
        self._get([f"{path}/ready" for path in both], "model_ready", "Models",
            "Whether a model is ready", _json(ref("ModelReady"), ready),
            problems=["404"])  # fmt: skip
        config = served and descriptions.config(served.default)
        self._get([f"{path}/config" for path in both], "config", "Models",
            "Configuration of a model", _json(ref("Config"), config),
            "In the terms of Triton's ModelConfig.", problems=["404"])  # fmt: skip
        counted = served and descriptions.statistics([served.default])
        self._get("/v2/models/stats", "all_stats", "Models", "Statistics of all models",
            _json(ref("Statistics"), counted), "Since each version was loaded.")  # fmt: skip
        self._get([f"{path}/stats" for path in both], "stats", "Models", "Statistics of a model",
            _json(ref("Statistics"), counted), "Since each version was loaded.",
            problems=["404"])  # fmt: skip

    def _repository(self) -> None:
        version = _first(self._served)
        rows = descriptions.index(self._dataplane, [], ready_only=True)
        self._add(
            "post", ["/v2/repository/index"], "index", "Repository", "What is served or could be",
            "Versions in memory, and models of the release store that were unloaded.",
            {"200": _json(ref("Index"), rows)}, ["400", "413"],
            body={"application/json": _content(ref("IndexRequest"), {"ready": False})},
            required=False,
        )  # fmt: skip
        for verb, text in (
            ("load", "Serve a model, as the release store has it"),
            ("unload", "Serve a model no more, until it is loaded again"),
        ):
            done = version and {"name": version.name, verb: True}
            self._add(
                "post", [f"/v2/repository/models/{{model_name}}/{verb}"], verb, "Repository", text,
                "For servers started with --allow-load. All others follow the store by themselves.",
                {"200": _json(ref(verb.capitalize()), done)}, ["400", "403", "404", "413"],
                body={"application/json": _content(ref(f"{verb.capitalize()}Request"), {})},
                required=False,
            )  # fmt: skip

    def _tf_serving(self) -> None:
        version, group = _first(self._served), "TensorFlow Serving"
        model = "/v1/models/{model_name}"
        paths = [model, f"{model}/versions/{{version}}", f"{model}/labels/{{label}}"]
        predictions = version and {"predictions": examples.likely(version).tolist()}
        self._add(
            "post", [f"{path}:predict" for path in paths], "predict", group,
            "Images in, probabilities out",
            "`instances` are answered with `predictions`, `inputs` with `outputs`. The signature"
            " `serving_default` takes pixels, `serving_bytes` encoded images.",
            {"200": _json(ref("PredictResponse"), examples.small(predictions, version))},
            ["400", "404", "413", "501"],
            body={
                "application/json": {
                    "schema": ref("PredictRequest"), "examples": examples.predict_bodies(version)
                }
            },
        )  # fmt: skip
        available = {"error_code": "OK", "error_message": ""}
        row = version and {"version": version.version, "state": "AVAILABLE", "status": available}
        self._get(paths[:2], "tf_status", group, "Which versions of a model are served",
            _json(ref("TFStatus"), {"model_version_status": [row]} if row else None),
            problems=["400", "404"])  # fmt: skip
        spec = version and tf_serving_rest.metadata(version)
        self._get([f"{path}/metadata" for path in paths], "tf_metadata", group,
            "Signatures of a model", _json(ref("TFMetadata"), spec),
            problems=["400", "404"])  # fmt: skip

    def _server(self) -> None:
        page = _answer("A page.", _text("text/html"))
        self._get("/", "page", "Server", "A page to try images", page, open=True)
        self._get("/docs", "docs", "Server", "This document as a page", page, open=True)
        self._get("/openapi.json", "openapi", "Server", "This document",
            _json({"type": "object"}, None))  # fmt: skip
        self._get("/metrics", "metrics", "Server", "Figures for Prometheus",
            _answer("Its text format.", _text("text/plain")))  # fmt: skip

    # The parts.

    def _get(
        self,
        paths: str | list[str],
        name: str,
        group: str,
        summary: str,
        answer: dict,
        text: str = "",
        problems: list[str] | None = None,
        open: bool = False,
    ) -> None:
        paths = [paths] if isinstance(paths, str) else paths
        self._add("get", paths, name, group, summary, text, {"200": answer}, problems or [],
            open=open)  # fmt: skip

    def _add(
        self,
        method: str,
        paths: list[str],
        name: str,
        group: str,
        summary: str,
        text: str,
        answers: dict,
        problems: list[str],
        parameters: list[dict] | None = None,
        body: dict | None = None,
        required: bool = True,
        open: bool = False,
    ) -> None:
        """An operation, the same at each of `paths`: for a model's default version, and others."""
        problems = [*problems, "503", *(["408"] if body else [])]
        if self._guarded and not open:
            problems.append("401")
        responses = answers | {
            status: ref(_PROBLEMS[status][0], "responses") for status in sorted(problems)
        }
        for path in paths:
            parts = [part for part in ("model_name", "version", "label") if f"{{{part}}}" in path]
            which = next((part for part in parts if part != "model_name"), None)
            operation: dict[str, Any] = {
                "operationId": f"{name}_of_{which}" if which else name,
                "tags": [group],
                "summary": f"{summary}, by its {which}" if which else summary,
                "parameters": [*(ref(part, "parameters") for part in parts), *(parameters or [])],
                "responses": responses,
            }
            if text:
                operation["description"] = text
            if body:
                operation["requestBody"] = {"required": required, "content": body}
            if open:
                operation["security"] = []
            self._paths.setdefault(path, {})[method] = operation

    def _parameters(self) -> dict:
        names = [served.name for served in self._served]
        numbers = sorted({n for served in self._served for n in served.versions}, key=int)
        labels = sorted({label for served in self._served for label in served.labels})
        length = "How many bytes of the body are JSON, when others follow; 0: none."
        return {
            "model_name": _parameter("model_name", "path", "A model that is served.", names),
            "version": _parameter("version", "path", "A version that is served.", numbers),
            "label": _parameter("label", "path", "A label of the release store.", labels),
            "top": {
                "name": "top",
                "in": "query",
                "description": "How many classes to name, the most probable first.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": classification.MOST_CLASSES,
                    "default": 3,
                },
                "example": 3,
            },
            "header_length": {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "description": length,
                "schema": {"type": "integer", "minimum": 0},
                "example": 0,
            },
        }


def _first(served: list[Served]) -> Model | None:
    return served[0].default.model if served else None


def _described(served: Served) -> str:
    """A line about a model."""
    model = served.default.model
    labels = ", ".join(model.labels[:_MOST_LISTED])
    rest = ", ..." if len(model.labels) > _MOST_LISTED else ""
    size = " x ".join(map(str, model.spec.shape))
    return (
        f"`{model.name}` version {model.version}: {size} pixels (height, width, channels),"
        f" {len(model.labels)} classes: {labels}{rest}"
    )


def _parameter(name: str, where: str, text: str, values: list[str]) -> dict:
    schema: dict[str, Any] = {"type": "string"}
    if values:  # an enumeration of nothing would allow nothing
        schema["enum"] = values
    return {
        "name": name,
        "in": where,
        "required": True,
        "description": text,
        "schema": schema,
        **({"example": values[0]} if values else {}),
    }


def _problem(status: str) -> dict:
    headers = {
        name: {"schema": {"type": "string"}, "example": value}
        for name, value in _HEADERS.get(status, {}).items()
    }
    content = {"application/json": {"schema": ref("Error")}}
    return _answer(_PROBLEMS[status][1], content, headers)


def _answer(text: str, content: dict, headers: dict | None = None) -> dict:
    answer = {"description": text, "content": content}
    return answer | {"headers": headers} if headers else answer


def _text(kind: str) -> dict:
    return {kind: {"schema": {"type": "string"}}}


def _content(schema: dict, example: Any) -> dict:
    return {"schema": schema} if example is None else {"schema": schema, "example": example}


def _json(schema: dict, example: Any) -> dict:
    return _answer("The answer.", {"application/json": _content(schema, example)})
