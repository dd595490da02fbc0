"""Asks a Darkroom server for the classes of images. Standard library only; copy this file.

python classify.py http://127.0.0.1:8080 digits seven.png --top 3

from classify import Client
Client("http://127.0.0.1:8080", "digits").classify(Path("seven.png").read_bytes(), 3)
"""

import argparse
import json
import math
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path


class ClientError(Exception):
    """What the server, or the way to it, says is wrong: a sentence for people."""


class Client:
    """Asks one model of one server; `token` is that of the server's --token-file."""

    def __init__(self, url: str, model: str, token: str | None = None, seconds: float = 60):
        self._address = f"{url.rstrip('/')}/v2/models/{urllib.parse.quote(model, safe='')}"
        self._headers = {"Content-Type": "application/octet-stream"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._seconds = seconds

    def classify(self, image: bytes, top: int = 3) -> list[tuple[str, float]]:
        """The `top` most probable (label, probability) of an encoded image (JPEG, PNG, GIF, BMP,
        WEBP), the most probable first; NaN where the model gave none. The server turns and fits it.

        Raises ClientError.
        """
        address = f"{self._address}/classify?top={top}"
        try:
            request = urllib.request.Request(address, data=image, headers=self._headers)
            with urllib.request.urlopen(request, timeout=self._seconds) as response:
                classes = json.load(response)["classes"]
        except urllib.error.HTTPError as error:
            with error:
                raise ClientError(_sentence(error)) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ClientError(f"{address} gives no answer: {reason}") from error
        shares = [(found["label"], found["probability"]) for found in classes]
        return [(label, math.nan if share is None else share) for label, share in shares]


def _sentence(error: urllib.error.HTTPError) -> str:
    """The server's own, or, of something else that answers, its status."""
    try:
        return json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answered {error.code} {error.reason}"


def main() -> int:
    """Prints a line per image. Exit codes: 0 all classified, 1 one was not."""
    parser = argparse.ArgumentParser(prog="classify", description="Classify images by a server.")
    parser.add_argument("url", metavar="URL", help="such as http://127.0.0.1:8080")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="JPEG, PNG, GIF, BMP or WEBP")
    parser.add_argument("--top", type=int, default=3, metavar="K", help="labels each (default: 3)")
    parser.add_argument(
        "--token",
        metavar="T",
        default=os.environ.get("DARKROOM_TOKEN"),
        help="of the server's --token-file (default: the environment's DARKROOM_TOKEN)",
    )
    options = parser.parse_args()
    client = Client(options.url, options.model, options.token)
    for name in options.images:
        try:
            classes = client.classify(Path(name).read_bytes(), options.top)
        except (ClientError, OSError) as error:
            print(error, file=sys.stderr)
            return 1
        line = ", ".join(f"{label} {probability:.4f}" for label, probability in classes)
        print(f"{name}: {line}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
