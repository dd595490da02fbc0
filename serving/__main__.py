"""`python -m serving`: serves the current release over HTTP, Open Inference Protocol v2."""

import argparse
import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path

from serving.release import StoreError
from serving.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM. Exit codes: 0 stopped, 2 it could not start."""
    options = _parser().parse_args(arguments)
    try:
        release = Store(Path(options.root) / "serving").select(options.model)
        _check_address(options.host, options.port)
    except (StoreError, OSError) as error:
        return _fail(str(error))

    # After the cheap refusals and --help: these imports take a fraction of a second.
    import uvloop

    from serving.core import Model
    from serving.errors import ServingError
    from serving.http import application

    try:
        model = Model(release, threads=options.threads)
    except ServingError as error:
        return _fail(str(error))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        uvloop.run(_serve(application(model), options, model))
    except (OSError, RuntimeError) as error:  # another server took the port meanwhile
        return _fail(f"cannot listen on {options.host}:{options.port}: {error}")
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


def _check_address(host: str, port: int) -> None:
    """Raises OSError when the address cannot be bound.

    Granian listens with SO_REUSEPORT: a second server would silently take half of the requests.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"cannot listen on {host}:{port}: {reason}; choose another --host or --port."
        ) from error


async def _serve(app, options: argparse.Namespace, model) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    server = Server(
        app,
        address=options.host,
        port=options.port,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    serving = asyncio.create_task(server.serve())
    await _listening(options.host, options.port, serving)
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(
        f"http://{host}:{options.port}/v2/models/{model.name} serves version {model.version}"
        f" on {model.provider}",
        flush=True,
    )
    await serving


async def _listening(host: str, port: int, serving: asyncio.Task) -> None:
    """Returns once a connection is accepted: the URL is printed only when it works."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return
    await serving


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:  # while the model was loading
        raise SystemExit(130) from None
