"""A web server inside the test's process that keeps what is posted to it."""

import contextlib
import dataclasses
import http.server
import threading
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Post:
    path: str
    authorization: str | None
    body: bytes


@contextlib.contextmanager
def posts() -> Iterator[tuple[list[Post], str]]:
    """What was posted, and the server's URL: `/refused` is answered with 500, `/slow` not before
    the end, all else with 201."""
    posted: list[Post] = []
    ended = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append(Post(self.path, self.headers["Authorization"], body))
            if self.path.startswith("/slow"):
                ended.wait()
            with contextlib.suppress(ConnectionError):  # who sent it waits no longer
                self.send_response(500 if self.path == "/refused" else 201)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield posted, f"http://127.0.0.1:{server.server_port}"
        finally:
            ended.set()
            server.shutdown()
            thread.join()
