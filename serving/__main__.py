"""`python -m serving`: serves releases over HTTP and gRPC.

Open Inference Protocol v2 and TensorFlow Serving's interface, see serving/README.md.
"""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM. Exit codes: 0 stopped, 2 it could not start."""
    parser = _parser()
    options = parser.parse_args(arguments)
    # Not at the top: --help must not wait for these imports.
    from serving.server.options import Options, OptionsError
    from serving.server.run import run

    try:
        chosen = Options.of(options)
    except OptionsError as error:
        return _fail(str(error))
    return run(chosen, _fail)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serve releases: Open Inference Protocol v2 and TensorFlow Serving's interface,"
        " over HTTP and gRPC. Follows every publish, rollback and label of the store by itself.",
    )
    add = parser.add_argument
    add("--root", default="out", type=Path, help="output root (default: out)")
    add(
        "--model",
        metavar="NAME[@VERSION]",
        action="append",
        default=[],
        help="a model to serve, pinned to a version if one is given; may be repeated"
        " (default: the current and labelled versions of every model)",
    )
    add("--format", choices=["onnx", "onnx_int8", "onnx_float16"], default="onnx",
        help="which file of a release answers (default: onnx)")  # fmt: skip
    add("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    add("--port", type=_port, default=8080, help="port of HTTP (default: 8080)")
    add("--grpc-port", type=_port, metavar="PORT", help="port of gRPC (default: no gRPC)")
    add("--threads", metavar="N", type=_count, default=0,
        help="inferences at once, each on one core (default: as many as cores)")  # fmt: skip
    add("--delay-ms", metavar="MS", type=_milliseconds, default=0.0,
        help="how long a request waits for others to share its inference (default: 0)")  # fmt: skip
    add("--queue", metavar="N", type=_positive, default=64,
        help="requests of a model that may wait; 503 beyond (default: 64)")  # fmt: skip
    add("--connections", metavar="N", type=_positive, default=512,
        help="open HTTP connections; 503 beyond (default: 512)")  # fmt: skip
    add("--max-body-mb", metavar="MB", type=_positive, default=16,
        help="the largest body, in MiB (default: 16)")  # fmt: skip
    add("--header-seconds", metavar="S", type=_positive, default=10,
        help="for the headers of a request to arrive; 408 beyond (default: 10)")  # fmt: skip
    add("--body-seconds", metavar="S", type=_positive, default=30,
        help="for a body to arrive, and for an answer to be taken (default: 30)")  # fmt: skip
    add("--idle-seconds", metavar="S", type=_positive, default=60,
        help="between two requests of a connection (default: 60)")  # fmt: skip
    add("--drain-seconds", metavar="S", type=_positive, default=20,
        help="for requests under way after SIGTERM (default: 20)")  # fmt: skip
    add("--allow-load", action="store_true", help="let clients load and unload models")
    add("--tls-certificate", type=Path, metavar="FILE", help="PEM with the certificate's chain")
    add("--tls-key", type=Path, metavar="FILE", help="PEM with its private key")
    add("--token-file", type=Path, metavar="FILE", help="the token that clients must send")
    add("--public-key", type=Path, metavar="FILE",
        help="serve only releases signed with the private key of this PEM")  # fmt: skip
    add("--insecure", action="store_true",
        help="another address without TLS and token: behind an ingress that has them")  # fmt: skip
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, expected 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, expected 0 (all cores) or more")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, expected 1 or more")
    return int(text)


def _milliseconds(text: str) -> float:
    try:
        if 0 <= float(text) <= 1000:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no time, expected 0 to 1000 milliseconds")


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:  # while it was starting
        raise SystemExit(130) from None
