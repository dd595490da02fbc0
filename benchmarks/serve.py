"""The server beside MLServer, and beside ONNX Runtime without a server, in turns.

Parts: `mlserver` (one image a request, the same bytes to both servers), `batches` (share of the
rate without a server, 32 images a request), `cost` (microseconds of a request beyond the session's
own) and `int8` (the release's int8 file beside its float32 one). The clients are wrk (HTTP) and
h2load (gRPC). Each measurement begins with one answer, which must name the classes that ONNX
Runtime names in this process.
"""

import argparse
import dataclasses
import os
import re
import statistics
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import load_clients, serve_parts
from benchmarks.open_inference import Kind
from benchmarks.prepared import OUTPUT
from benchmarks.records import machine, write
from benchmarks.serve_parts import Plan, Row

MODELS = ("digits", "mnist_tiny")
KINDS: tuple[Kind, ...] = ("json", "grpc_raw", "grpc_typed")
PARTS = {
    "mlserver": ("requests/s: model, body, clients", "Darkroom", "MLServer", "ratio", "at least"),
    "batches": ("images/s, 32 a request", "server", "in process", "ratio", "at least"),
    "cost": ("microseconds, one image", "server", "in process", "difference", "at most"),
    "int8": ("images/s, 32 a request", "int8", "float32", "ratio", ""),
}
"""Part to the heads of its table."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    clients = [*serve_parts.FASTER]
    parser.add_argument("--clients", type=_counts, default=clients, metavar="N,N", help="at once")
    parser.add_argument("--seconds", type=int, default=4, metavar="N", help="of a measurement")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="turns")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of bodies")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS])


def _counts(text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} are no counts, expected e.g. 1,4,16")
    return [int(count) for count in text.split(",")]


def main(arguments: argparse.Namespace) -> int:
    """Prints medians and ratios; 1 when one misses what it is held to, or cannot be measured."""
    processors = sorted(os.sched_getaffinity(0))
    if sentence := load_clients.missing():
        print(sentence, file=sys.stderr)
        return 2
    if len(processors) < 2:
        print("One processor: the clients need one beside the server's.", file=sys.stderr)
        return 2
    first, *_, last = every = [str(processor) for processor in processors]
    plan = Plan(arguments.seconds, arguments.repeats, first, last, ",".join(every), len(processors))
    console, load = Console(width=140), os.getloadavg()[0] / len(processors)
    console.print(
        f"{machine()['processor']}, {len(processors)} processors, load before {load:.2f} each. "
        f"Servers and what runs in process have processor {first}, clients {last}, where nothing "
        f"else is said. Medians of {plan.repeats} turns of {plan.seconds} s.",
        highlight=False,
    )
    found = {}
    for part in arguments.parts:
        rows = found[part] = _measure(part, plan, arguments)
        console.print(_table(part, rows))
        for row in rows:
            if row.reason:
                console.print(f"{row.what}: not measured, {row.reason}", highlight=False)
    parts = {part: [dataclasses.asdict(row) for row in rows] for part, rows in found.items()}
    record = {"arguments": vars(arguments), "load": load, "parts": parts}
    write(OUTPUT.parent, "serve", record, console)
    return int(not all(row.met for rows in found.values() for row in rows))


def _measure(part: str, plan: Plan, arguments: argparse.Namespace) -> list[Row]:
    if part == "mlserver":
        chosen = arguments.models, arguments.kinds, arguments.clients
        return serve_parts.mlserver(plan, *chosen)
    rows: list[Row] = getattr(serve_parts, part)(plan)
    return rows


def _table(part: str, rows: list[Row]) -> Table:
    """Medians; `details` in milliseconds, ours and the other's (`FASTER` holds for p99 too)."""
    details = list(dict.fromkeys(name for row in rows for name in row.details))
    table = Table(*PARTS[part], *(f"{name}, ms" for name in details))
    for row in rows:
        if row.reason:
            table.add_row(row.what, "", "", "", "not measured")
            continue
        medians = (f"{statistics.median(side):,.0f}" for side in (row.ours, row.other))
        pairs = (" / ".join(f"{us / 1e3:.2f}" for us in row.details[name]) for name in details)
        held = f"{row.held}{'' if row.met else ' missed'}"
        table.add_row(row.what, *medians, row.found, held, *pairs)
    return table
