"""All that is answered over HTTP, whatever the transport: a request in, a response out."""

import hmac
import time

import orjson

from serving.inference.errors import MethodNotAllowed, ServingError, Unauthorised, Unavailable
from serving.server import oip_http, page_routes, tf_serving_rest
from serving.server.dataplane import Dataplane
from serving.server.log import log
from serving.server.messages import Request, Response
from serving.server.routes import Router
from serving.server.swap import Follower


class Application:
    """The handler of every request. `token`: what clients must send; None lets everybody in."""

    def __init__(
        self,
        dataplane: Dataplane,
        follower: Follower,
        token: str | None = None,
        allow_load: bool = False,
    ):
        self._dataplane = dataplane
        self._expected = None if token is None else f"bearer {token}".encode()
        self._router = Router(
            [
                *oip_http.routes(dataplane, follower, allow_load),
                *tf_serving_rest.routes(dataplane),
                *page_routes.routes(dataplane, token is not None),
            ]
        )

    async def __call__(self, request: Request) -> Response:
        """Never raises, but for being cancelled."""
        started = time.perf_counter()
        protocol = "http"
        try:
            found = self._router.find(request.path)
            protocol = found.route.protocol
            if self._expected is not None and not found.route.open:
                self._check_token(request)
            response = await found.endpoint(request)(request, **found.parts)
        except ServingError as error:
            self._dataplane.failed(error)
            if error.__cause__ is not None and error.status == 500:
                log("inference_failed", error=repr(error.__cause__)[:500])
            response = error_response(error)
        except Exception as error:  # noqa: BLE001 - one request must not end the connection's others
            log("internal_error", path=request.path[:200], error=repr(error)[:500])
            response = error_response(ServingError("internal error; the server's log says more."))
        self._dataplane.answered(protocol, request.version, response.status, started)
        return response

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = f"{scheme.lower()} {token.strip()}".encode()
        if not hmac.compare_digest(given, self._expected or b""):
            raise Unauthorised("the server expects its token in the header Authorization: Bearer.")

    def refusal(self, status: int, message: str) -> Response:
        """The answer to what never became a request."""
        self._dataplane.answered("http", None, status, time.perf_counter())
        return _refused(status, message)


def error_response(error: ServingError) -> Response:
    """`{"error": message}` with the error's status."""
    response = _refused(error.status, str(error))
    if isinstance(error, Unauthorised):
        response.headers += (("www-authenticate", "Bearer"),)
    if isinstance(error, MethodNotAllowed):
        response.headers += (("allow", error.allowed),)
    if error.status == 501:
        response.headers += (("accept-encoding", "gzip, deflate"),)
    if isinstance(error, Unavailable):
        response.headers = (("retry-after", str(error.retry_after)),)
    return response


def _refused(status: int, message: str) -> Response:
    headers = (("retry-after", "1"),) if status == 503 else ()
    return Response(orjson.dumps({"error": message}), status, headers=headers)
