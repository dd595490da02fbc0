"""Open Inference Protocol v2 over HTTP, as a Starlette application around one loaded model."""

import logging

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving import __version__
from serving.inference.errors import NotFound, ServingError, TooLarge
from serving.inference.model import Model
from serving.server import protocol

_log = logging.getLogger(__name__)

_DRAIN = 16
"""Times the body limit that is read and thrown away, so that a client sees the 413 it caused."""


def application(model: Model, concurrency: int = 2) -> Starlette:
    """The application. At most `concurrency` inferences run at once, in threads; others wait."""
    app = Starlette(
        routes=[
            Route("/v2", _server_metadata),
            Route("/v2/health/live", _live),
            Route("/v2/health/ready", _ready),
            *_model_routes("/v2/models/{model}"),
            *_model_routes("/v2/models/{model}/versions/{version}"),
        ],
        exception_handlers={
            ServingError: _serving_error,
            HTTPException: _http_error,
            Exception: _internal_error,
        },
    )
    app.router.redirect_slashes = False  # a redirect has no JSON body to say what is wrong
    app.state.model = model
    app.state.limiter = anyio.CapacityLimiter(concurrency)
    return app


def _model_routes(path: str) -> list[Route]:
    return [
        Route(path, _model_metadata),
        Route(f"{path}/ready", _model_ready),
        Route(f"{path}/infer", _infer, methods=["POST"]),
    ]


async def _server_metadata(request: Request) -> JSONResponse:
    return JSONResponse({"name": "darkroom", "version": __version__, "extensions": []})


async def _live(request: Request) -> JSONResponse:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> JSONResponse:
    # The application exists only once its model is loaded and has repeated its golden outputs.
    return JSONResponse({"live": True, "ready": True})


async def _model_metadata(request: Request) -> JSONResponse:
    return JSONResponse(protocol.metadata(_model(request)))


async def _model_ready(request: Request) -> JSONResponse:
    return JSONResponse({"name": _model(request).name, "ready": True})


async def _infer(request: Request) -> Response:
    model = _model(request)
    body = await _body(request, protocol.body_limit(model))
    # Parsing a large body takes as long as the inference: neither may stop the event loop.
    limiter = request.app.state.limiter
    content = await anyio.to_thread.run_sync(protocol.answer, model, body, limiter=limiter)
    return Response(content, media_type="application/json")


def _model(request: Request) -> Model:
    model: Model = request.app.state.model
    name, version = request.path_params["model"], request.path_params.get("version")
    if name != model.name:
        raise NotFound(f"unknown model {name!r}: {model.name} is served here.")
    if version not in (None, model.version):
        raise NotFound(f"version {version} of {name} is not served: version {model.version} is.")
    return model


async def _body(request: Request, limit: int) -> bytes:
    """The body, read no further than needed. Raises TooLarge over `limit` bytes."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
        if size > limit * _DRAIN:
            break
    if size > limit:
        raise TooLarge(f"the body is over {limit} bytes, the most a full batch of images needs.")
    return b"".join(chunks)


async def _serving_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServingError)
    return JSONResponse({"error": str(error)}, status_code=error.status)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse({"error": message}, status_code=error.status_code, headers=error.headers)


async def _internal_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ClientDisconnect):
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": "internal error; the server's log says more"}, status_code=500)
