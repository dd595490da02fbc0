"""From bytes to messages, from errors to statuses: what the gRPC services share."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving.inference.errors import InvalidRequest, NotOffered, ServingError, Unavailable
from serving.server.dataplane import Dataplane, Version
from serving.server.log import log
from serving.server.protos.pool import methods

_CANCELLED = 499
"""The HTTP status, by convention, of a client that left."""
_UNGUARDED = 32
"""Calls that may wait for their message without a limit of time: it costs a small call a sixth."""
_LARGE = 128 * 1024
"""Bytes."""
_STREAMED = 16
"""Requests of one stream that are under way at once."""


class Call:
    """What becomes known of a call before its end."""

    __slots__ = ("version", "identifier", "large")

    def __init__(self) -> None:
        self.large = False
        """Reading such a message takes long: in a thread, for the event loop must go on."""
        self.version: Version | None = None
        """Set by what counts as an inference."""
        self.identifier = ""
        """What the client calls it, for an answer on a stream."""


Method = Callable[[Any, Call], Awaitable[Any]]
"""Request message to response message. Raises ServingError."""


class Calls:
    """Calls of one protocol, counted in `dataplane` under its name."""

    def __init__(self, dataplane: Dataplane, protocol: str):
        self._dataplane = dataplane
        self._protocol = protocol
        self._most = dataplane.limits.bodies_bytes
        self._held = 0
        self._arriving: set[asyncio.Task] = set()
        """Calls whose message has not arrived."""
        self._receiving: set[asyncio.Task] = set()
        """Of streams."""
        self.stopping = False

    def stop(self) -> None:
        """Streams end once what they have received is answered."""
        self.stopping = True
        for task in self._receiving:
            task.cancel()

    def service(
        self, name: str, implemented: Mapping[str, Any], reasons: Mapping[str, str]
    ) -> grpc.GenericRpcHandler:
        """All methods of the service with this full name.

        `implemented` are Methods, or handlers made already, by name; every other one is answered
        with UNIMPLEMENTED and the sentence in `reasons` whose key its name begins with.
        """
        handlers: dict[str, _Handlers] = {}
        for method, (request, _) in methods(name).items():
            made = implemented.get(method)
            if made is None:
                made = _not_offered(next(reasons[key] for key in reasons if method.startswith(key)))
            if isinstance(made, grpc.RpcMethodHandler):
                handlers[f"/{name}/{method}"] = made, made
            else:
                handlers[f"/{name}/{method}"] = self.unary(made, request)
        return _Service(handlers, self._arriving)

    def unary(self, method: Method, request: Any) -> "_Handlers":
        """One message of the class `request`, one response."""
        answer, arriving = self._answer, self._arriving

        async def handle(content: bytes, context: grpc.aio.ServicerContext) -> bytes:
            arriving.discard(asyncio.current_task())
            try:
                return (await answer(method, request, content, Call())).SerializeToString()
            except ServingError as error:
                await context.abort(getattr(grpc.StatusCode, error.code), str(error))
            raise AssertionError("abort returns to nobody")

        async def guarded(contents: Any, context: grpc.aio.ServicerContext) -> bytes:
            return await handle(await self.read(context), context)

        # Bytes in and out: a deserialiser of grpc's would log each broken message as our failure.
        return (
            grpc.unary_unary_rpc_method_handler(handle),
            grpc.stream_unary_rpc_method_handler(guarded),
        )

    def stream(
        self, method: Method, request: Any, response: Callable[[Call, Any], Any]
    ) -> grpc.RpcMethodHandler:
        """A response for each request, in their order, while several are under way.

        `response` makes it of what `method` gave, or of the ServingError that it raised.
        """

        async def one(content: bytes) -> bytes:
            call = Call()
            try:
                result = await self._answer(method, request, content, call)
            except ServingError as error:
                result = error
            return response(call, result).SerializeToString()

        async def handle(
            requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
        ) -> AsyncIterator[bytes]:
            self._arriving.discard(asyncio.current_task())
            room = asyncio.Semaphore(_STREAMED)
            waiting: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
            tasks: set[asyncio.Task] = set()

            async def receive() -> None:
                async for content in requests:
                    await room.acquire()
                    task = asyncio.ensure_future(one(content))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    waiting.put_nowait(task)

            def received(task: asyncio.Task) -> None:
                waiting.put_nowait(None)
                if not task.cancelled():
                    task.exception()  # the client's end of the stream; grpc answers it

            receiving = asyncio.ensure_future(receive())
            receiving.add_done_callback(received)
            self._receiving.add(receiving)
            try:
                while (task := await waiting.get()) is not None:
                    yield await task
                    room.release()
                if self.stopping:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping.")
            finally:  # also when the client leaves
                self._receiving.discard(receiving)
                for task in [receiving, *tasks]:
                    task.cancel()

        return grpc.stream_stream_rpc_method_handler(handle)

    async def read(self, context: grpc.aio.ServicerContext) -> bytes:
        """The first message of a call whose handler reads by itself; ends the call without one."""
        self._arriving.discard(asyncio.current_task())
        try:
            content = await asyncio.wait_for(context.read(), self._dataplane.limits.body_seconds)
        except TimeoutError:
            self._dataplane.metrics.rejected("deadline")
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the message did not arrive in time."
            )
        return b"" if content is grpc.aio.EOF else content

    async def _answer(self, method: Method, request: Any, content: bytes, call: Call) -> Any:
        """Raises ServingError, whatever happens."""
        started = time.perf_counter()
        dataplane = self._dataplane
        status = 500
        self._held += len(content)
        try:
            if self._held > self._most:
                raise Unavailable(
                    "the server holds as many messages as it takes: try again later.", "memory"
                )
            call.large = len(content) > _LARGE
            response = await method(parse(request, content), call)
            status = 200
            return response
        except ServingError as error:
            status = error.status
            dataplane.failed(error)
            if status == 500:
                log("failed", protocol=self._protocol, error=repr(error.__cause__ or error))
            raise
        except asyncio.CancelledError:
            status = _CANCELLED
            raise
        except Exception as error:
            log("failed", protocol=self._protocol, error=repr(error))
            raise ServingError("internal error; the server's log says more.") from error
        finally:
            self._held -= len(content)
            dataplane.answered(self._protocol, call.version, status, started)


_Handlers = tuple[grpc.RpcMethodHandler, grpc.RpcMethodHandler]
"""Of one method: the fast one, and the one that waits for the message only so long. grpc itself
waits for ever."""


class _Service(grpc.GenericRpcHandler):
    """Finds the handler of a call, in whose task it is called."""

    def __init__(self, handlers: Mapping[str, _Handlers], arriving: set[asyncio.Task]):
        self._handlers = handlers
        self._arriving = arriving

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """None for a method of another service."""
        found = self._handlers.get(handler_call_details.method)
        if found is None:
            return None
        # Messages arrive with their calls, unless somebody means harm or the network is slow.
        if len(self._arriving) >= _UNGUARDED:
            return found[1]
        task = asyncio.current_task()
        if task is not None:
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)
        return found[0]


def parse(request: Any, content: bytes) -> Any:
    """A message of the class `request`. Raises InvalidRequest."""
    try:
        return request.FromString(content)
    except DecodeError as error:
        name = request.DESCRIPTOR.full_name
        raise InvalidRequest(f"the message cannot be read, expected {name}.") from error


def _not_offered(reason: str) -> Method:
    async def refuse(request: Any, call: Call) -> Any:
        raise NotOffered(reason)

    return refuse
