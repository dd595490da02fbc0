"""Content codings of bodies: gzip and deflate, both ways and within limits."""

import gzip
import zlib

from serving.inference.errors import InvalidRequest, NotOffered, TooLarge
from serving.server.messages import Request, Response

_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""With zlib's `wbits`."""
_WORTH_IT = 1024
"""Smaller answers are sent as they are."""


def unpacked(request: Request, most: int) -> bytes:
    """The body without its content coding.

    Raises NotOffered for an unknown coding, InvalidRequest when it is damaged or cut, TooLarge when
    it unpacks to more than `most` bytes.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return request.body
    if coding not in _CODINGS:
        raise NotOffered(f"Content-Encoding is {coding[:50]!r}, expected gzip or deflate.")
    reader = zlib.decompressobj(_CODINGS[coding])
    try:
        body = reader.decompress(request.body, most + 1)
    except zlib.error as error:
        raise InvalidRequest(f"the body is not {coding}: {error}.") from error
    if len(body) > most:
        raise TooLarge(f"the body unpacks to more than {most} bytes.")
    if not reader.eof or reader.unused_data:
        raise InvalidRequest(f"the {coding} body is cut off, or something follows it.")
    return body


def packed(request: Request, response: Response) -> Response:
    """The response in a coding that the client asks for, if any."""
    accepted = request.headers.get("accept-encoding")
    if accepted is None or len(response.body) < _WORTH_IT:
        return response
    wanted: dict[str, float] = {
        name: quality for name, quality in map(_preference, accepted.split(",")) if quality
    }
    best = max(
        (name for name in ("gzip", "deflate") if name in wanted), key=wanted.__getitem__, default=""
    )
    if not best:
        return response
    if best == "gzip":
        body = gzip.compress(response.body, 1, mtime=0)
    else:
        body = zlib.compress(response.body, 1)
    response.body = body
    response.headers += (("content-encoding", best), ("vary", "accept-encoding"))
    return response


def _preference(entry: str) -> tuple[str, float]:
    """(coding, how much it is wanted) of an entry of Accept-Encoding."""
    name, *parameters = (part.strip().lower() for part in entry.split(";"))
    for parameter in parameters:
        if parameter.replace(" ", "").startswith("q="):
            try:
                return name, float(parameter.partition("=")[2])
            except ValueError:
                return name, 0.0
    return name, 1.0
