"""Errors of the serving core. Each owns its HTTP status; a transport only reports it."""


class ServingError(ValueError):
    """A request that cannot be answered; the message is for the client."""

    status = 500


class InvalidRequest(ServingError):
    """The request is not what the protocol or the model's contract asks for."""

    status = 400


class NotFound(ServingError):
    """The model or version is not served here."""

    status = 404


class TooLarge(ServingError):
    """The body or the batch is over the limit."""

    status = 413


class NotServable(ServingError):
    """The release cannot be served: damaged, or its outputs are not those it was released with."""


class RuntimeMissing(NotServable, ImportError):
    """What opens the format is not installed; this says nothing about the release."""

    def __init__(self, path: object, package: str):
        super().__init__(
            f"{path} needs the package {package}, which is not installed: "
            "pip install -r serving/requirements.txt."
        )

    status = 503
