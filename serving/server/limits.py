"""How much a client may ask of the server, and for how long."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Times in seconds, sizes in bytes."""

    connections: int = 512
    """Open at once; further ones are answered 503 and closed."""
    header_seconds: float = 10
    """From a connection's start, or a request's first byte, to the end of its headers."""
    body_seconds: float = 30
    """From the end of the headers to that of the body; also for a client to read its answer."""
    idle_seconds: float = 60
    """Between two requests of a connection."""
    header_bytes: int = 64 * 1024
    body_bytes: int = 16 * 1024 * 1024
    """Also of what a compressed body unpacks to."""
    bodies_bytes: int = 256 * 1024 * 1024
    """Of all bodies being received or answered together; 503 beyond."""
    queue: int = 64
    """Requests of a model that wait for an inference, 503 beyond; as many that decode files."""
    delay_seconds: float = 0
    """How long a request waits for others to share its inference. 0: with those that are there."""
    drain_seconds: float = 20
    """After SIGTERM, for requests under way."""
    megapixels: float = 50
    """Of an encoded image, as at ingest."""
