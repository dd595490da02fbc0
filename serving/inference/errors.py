"""Errors of the serving core. Each owns what a transport reports of it."""


class ServingError(ValueError):
    """A request that cannot be answered; the message is for the client."""

    status = 500
    """HTTP status."""
    code = "INTERNAL"
    """Name of a `grpc.StatusCode`."""


class InvalidRequest(ServingError):
    """The request is not what the protocol or the model's contract asks for."""

    status, code = 400, "INVALID_ARGUMENT"


class Unauthorised(ServingError):
    """The request carries no token, or another than the server's."""

    status, code = 401, "UNAUTHENTICATED"


class Forbidden(ServingError):
    """The server was started without allowing this."""

    status, code = 403, "PERMISSION_DENIED"


class NotFound(ServingError):
    """The model or version is not served here."""

    status, code = 404, "NOT_FOUND"


class MethodNotAllowed(ServingError):
    """The path is known, but not with this method."""

    status, code = 405, "UNIMPLEMENTED"

    def __init__(self, message: str, allowed: str):
        super().__init__(message)
        self.allowed = allowed


class TooLarge(ServingError):
    """The body or the batch is over the limit."""

    status, code = 413, "INVALID_ARGUMENT"


class NotOffered(ServingError):
    """A part of a protocol that this server does not have."""

    status, code = 501, "UNIMPLEMENTED"


class Unavailable(ServingError):
    """Not now, `reason` (a word, for the metric) says why: the client may try again."""

    status, code = 503, "UNAVAILABLE"
    retry_after = 1
    """Seconds."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class NotServable(ServingError):
    """The release cannot be served: damaged, or its outputs are not those it was released with."""

    status, code = 503, "UNAVAILABLE"


class RuntimeMissing(NotServable, ImportError):
    """What opens the format is not installed; this says nothing about the release."""

    def __init__(self, path: object, package: str):
        super().__init__(
            f"{path} needs the package {package}, which is not installed: pip install {package}."
        )
