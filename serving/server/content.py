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
    wanted = {}
    for entry in accepted.lower().split(","):
        name, _, quality = entry.partition(";")
        wanted[name.strip()] = not quality.strip().replace(" ", "").startswith("q=0") or (
            quality.strip("q= 0.") != ""
        )
    if wanted.get("gzip"):
        body, coding = gzip.compress(response.body, 1, mtime=0), "gzip"
    elif wanted.get("deflate"):
        body, coding = zlib.compress(response.body, 1), "deflate"
    else:
        return response
    response.body = body
    response.headers += (("content-encoding", coding), ("vary", "accept-encoding"))
    return response
