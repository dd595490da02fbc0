"""`python -m serving`: serves the current release over HTTP, Open Inference Protocol v2."""

import argparse
import logging
import sys
from pathlib import Path

from serving.store.release import Release, StoreError
from serving.store.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM. Exit codes: 0 stopped, 2 it could not start."""
    options = _parser().parse_args(arguments)
    try:
        return _serve(Store(Path(options.root) / "serving").select(options.model), options)
    except (StoreError, OSError) as error:
        return _fail(str(error))


def _serve(release: Release, options: argparse.Namespace) -> int:
    # Not at the top: --help must not wait for these imports.
    from serving.inference.errors import ServingError
    from serving.inference.model import Model
    from serving.server.http import application
    from serving.server.listener import claim, serve

    with claim(options.host, options.port):
        try:
            model = Model(release, threads=options.threads)
        except ServingError as error:
            return _fail(str(error))
        host = f"[{options.host}]" if ":" in options.host else options.host
        url = f"http://{host}:{options.port}/v2/models/{model.name}"
        line = f"{url} serves version {model.version} on {model.provider}"
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
        serve(application(model), options.host, options.port, lambda: print(line, flush=True))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serve the current release over HTTP (Open Inference Protocol v2).",
    )
    parser.add_argument("--root", default="out", help="output root (default: out)")
    parser.add_argument("--model", metavar="NAME", help="which model (default: the only one)")
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8080, help="port (default: 8080)")
    parser.add_argument(
        "--threads",
        metavar="N",
        type=_count,
        default=0,
        help="CPU threads of an inference (default: all cores)",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, expected 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, expected 0 (all cores) or more")
    return int(text)


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:  # while the model was loading
        raise SystemExit(130) from None
