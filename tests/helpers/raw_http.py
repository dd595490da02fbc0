"""HTTP over a raw socket: any bytes out, answers read strictly."""

import json
import socket
from types import TracebackType
from typing import NamedTuple


class Answer(NamedTuple):
    """`headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server says that the connection ends."""
        return self.headers.get("connection") == "close"

    @property
    def error(self) -> str:
        """The message of an error, which is all there is in its body."""
        value = json.loads(self.body)
        assert list(value) == ["error"] and isinstance(value["error"], str), value
        return value["error"]


class Client:
    """A connection to 127.0.0.1. `receive`: bytes that the kernel keeps for it unread."""

    def __init__(self, port: int, timeout: float = 10, receive: int | None = None):
        self.socket = socket.socket()
        if receive is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self._stream = self.socket.makefile("rb")

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leaves."""
        self._stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """All of it, unless the server has ended the connection, as it may when it refuses."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end(self) -> None:
        """Sends nothing more, but goes on reading."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server has ended the connection

    def answer(self, head: bool = False) -> Answer | None:
        """The next one, but for 100 Continue; None when the server has ended the connection."""
        line = self._stream.readline()
        if not line:
            return None
        version, status, *_ = line.decode("latin-1").split(" ", 2)
        assert version == "HTTP/1.1" and line.endswith(b"\r\n"), line
        headers = {}
        while (line := self._stream.readline()) != b"\r\n":
            name, colon, value = line.decode("latin-1").partition(": ")
            assert colon and value.endswith("\r\n") and name not in headers, line
            headers[name] = value.removesuffix("\r\n")
        if status == "100":
            return self.answer(head)
        size = 0 if head else int(headers["content-length"])
        body = self._stream.read(size)
        assert len(body) == size
        return Answer(int(status), headers, body)

    def closed(self) -> bool:
        """Waits for the end of the connection; False when more came, or the time is over."""
        try:
            return self._stream.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def message(
    target: str = "/v2", method: str = "GET", body: bytes | None = None, **headers: str
) -> bytes:
    """A request as it should be; `_` in a header's name stands for `-`."""
    lines = [f"{method} {target} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
