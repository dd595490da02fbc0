"""What `benchmarks/serve.py` measures: four parts, each a list of rows, measured in turns."""

import contextlib
import dataclasses
import functools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks import in_process, load_clients, servers
from benchmarks.load_clients import Load
from benchmarks.open_inference import Kind, ask, request
from benchmarks.ratios import ratio
from benchmarks.served_models import ROOT, images, release
from benchmarks.servers import Server
from components.base.process import StepFailed
from serving.contract.release_files import FORMATS
from serving.inference.onnx_runtime import open_session

FASTER = {1: 1.0, 4: 3.0, 16: 3.0}  # times MLServer's requests/s, by clients; p99 never longer
SHARE = 0.85  # of the images/s without a server
COST = 100.0  # microseconds of a request of one 32x32x3 image beyond the session's own time
BATCH = 32

_QUEUED = 4  # clients for each session where a server is to be kept busy
_Measured = TypeVar("_Measured")


@dataclasses.dataclass(frozen=True)
class Plan:
    """`repeats` turns of `seconds`; the processors (`taskset`'s lists) of servers and of what they
    are compared with, of clients, and all."""

    seconds: int
    repeats: int
    server: str
    client: str
    everywhere: str
    cores: int


@dataclasses.dataclass(frozen=True)
class Row:
    """`ours` and `other` have a number for each turn, of what the part says; `found` is their ratio
    or difference in words. Not `met`: it misses what it is `held` to, or was not measured, for
    `reason`."""

    what: str
    ours: list[float] = dataclasses.field(default_factory=list)
    other: list[float] = dataclasses.field(default_factory=list)
    found: str = ""
    held: str = ""
    met: bool = True
    details: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    """Microseconds, ours and the other's, medians over the turns: p50 and p99 of the latency, and
    the processor time that the server took for a request."""
    reason: str = ""


def mlserver(
    plan: Plan, models: Sequence[str], kinds: Sequence[Kind], clients: list[int]
) -> list[Row]:
    """Requests a second of one image each, ours and MLServer's; both run, and one is idle."""
    workers = {kind: _workers(plan, kind) for kind in kinds}
    rows = []
    for name in models:
        with contextlib.ExitStack() as stack:
            ours = stack.enter_context(servers.ours(release(name), ROOT, plan.server))
            theirs = {
                count: stack.enter_context(servers.mlserver(release(name), plan.server, count))
                for count in sorted(set(workers.values()))
            }
            for kind in kinds:
                here = _Target(plan, ours, kind, name, 1)
                there = _Target(plan, theirs[workers[kind]], kind, name, 1)
                for count in clients:
                    row = functools.partial(_beside, plan, here, there, count)
                    rows += _attempt(f"{name}, {kind}, {count}", row)
    return rows


def batches(plan: Plan) -> list[Row]:
    """Images a second in requests of 32, through the server and without it: on one processor, and
    on all with as many sessions, where the client takes its share of them."""
    alone = functools.partial(_share, plan, plan.server, plan.client, 1)
    rows = _attempt("one processor", alone)
    everywhere = functools.partial(_share, plan, plan.everywhere, plan.everywhere, plan.cores)
    return rows + _attempt("all processors, the client's too", everywhere)


def cost(plan: Plan) -> list[Row]:
    """Microseconds of a request of one image by one client, and of the session's run without it.

    The latency has the client's own work and the way there and back in it: what the server takes
    is less. The processor time is the server's alone, with the kernel's work for it; it is a mean,
    the latency a median.
    """
    return _attempt("latency and processor time", functools.partial(_cost, plan))


def int8(plan: Plan) -> list[Row]:
    """Images a second in requests of 32, of the release's int8 file and of its float32 file."""
    return _attempt("int8", functools.partial(_int8, plan))


def _workers(plan: Plan, kind: Kind) -> int:
    """MLServer's `parallel_workers`, 0 or 1, with which requests of that kind take less of the one
    processor. By their rate, two processes would seem faster wherever others want it as well."""
    one = release("digits")
    with (
        servers.mlserver(one, plan.server, 0) as without,
        servers.mlserver(one, plan.server, 1) as with_one,
    ):
        targets = [_Target(plan, server, kind, "digits", 1) for server in (without, with_one)]
        loads = _in_turns(plan, *(functools.partial(target.load, 4) for target in targets))
    times = _medians([[load.cpu for load in side] for side in loads])
    best = int(times[1] < times[0])
    tried = " and ".join(f"{time:,.0f} us with {workers}" for workers, time in enumerate(times))
    print(f"MLServer's parallel_workers for {kind}: {best} ({tried} of processor time a request)")
    return best


def _beside(plan: Plan, ours: "_Target", theirs: "_Target", clients: int) -> list[Row]:
    loads = _in_turns(plan, lambda: ours.load(clients), lambda: theirs.load(clients))
    here, there = ([load.rate for load in side] for side in loads)
    details = {
        name: _medians([[getattr(load, name) for load in side] for side in loads])
        for name in ("p50", "p99", "cpu")
    }
    found, least = ratio(here, there), FASTER.get(clients, 1.0)
    met = found.median >= least and details["p99"][0] <= details["p99"][1]
    return [Row("", here, there, str(found), f"{least:g}", met, details)]


def _share(plan: Plan, processors: str, client: str, sessions: int) -> list[Row]:
    file, shown = _file("cifar10"), images("cifar10", BATCH)
    with servers.ours(release("cifar10"), ROOT, processors, sessions) as server:
        target = _Target(plan, server, "binary", "cifar10", BATCH)
        served, alone = _in_turns(
            plan,
            lambda: BATCH * target.load(_QUEUED * sessions, client).rate,
            lambda: (
                BATCH * in_process.measure(file, shown, sessions, plan.seconds, processors).rate
            ),
        )
    found = ratio(served, alone)
    return [Row("", served, alone, str(found), f"{SHARE:g}", found.median >= SHARE)]


def _cost(plan: Plan) -> list[Row]:
    file, shown = _file("cifar10"), images("cifar10", 1)
    with servers.ours(release("cifar10"), ROOT, plan.server) as server:
        target = _Target(plan, server, "binary", "cifar10", 1)
        target.load(1)  # until it is warm

        def served() -> tuple[float, float]:
            load = target.load(1)
            return load.p50, load.cpu

        def alone() -> tuple[float, float]:
            found = in_process.measure(file, shown, 1, plan.seconds, plan.server)
            return found.p50, found.cpu

        turns = [list(zip(*side)) for side in _in_turns(plan, served, alone)]
    rows = []
    for what, ours, other in zip(("latency", "processor time"), *turns):
        more = _medians([ours, other])
        taken = more[0] - more[1]
        rows.append(Row(what, [*ours], [*other], f"{taken:+.0f}", f"{COST:g}", taken <= COST))
    return rows


def _int8(plan: Plan) -> list[Row]:
    if "--format" not in servers.options():
        raise StepFailed("the server has no --format")
    with (
        servers.ours(release("cifar10"), ROOT, plan.server, form="onnx_int8") as reduced,
        servers.ours(release("cifar10"), ROOT, plan.server) as full,
    ):
        targets = [_Target(plan, one, "binary", "cifar10", BATCH) for one in (reduced, full)]
        loads = (functools.partial(target.load, _QUEUED) for target in targets)
        turns = _in_turns(plan, *loads)
    ours, other = ([BATCH * load.rate for load in side] for side in turns)
    return [Row("", ours, other, str(ratio(ours, other)))]


class _Target:
    """A server, the `count` images it is sent again and again, and the classes it must name."""

    def __init__(self, plan: Plan, server: Server, kind: Kind, name: str, count: int):
        self._plan, self._server = plan, server
        self._body = request(kind, name, images(name, count))
        session = open_session(_file(name, server.form), threads=1)
        self._classes = session.run(["probabilities"], {"image": images(name, count)})[0].argmax(1)

    def load(self, clients: int, cores: str | None = None) -> "_Met":
        """Checks one answer, then measures, with clients on the processors `cores`."""
        url = self._server.url(self._body.kind)
        answer = ask(url, self._body)
        if not np.array_equal(answer.probabilities.argmax(1), self._classes):
            raise StepFailed(f"{url} names other classes than ONNX Runtime does in this process")
        seconds, cores = self._plan.seconds, cores or self._plan.client
        before = self._server.cpu_seconds()
        load = load_clients.load(url, self._body, answer.size, clients, seconds, cores)
        taken = self._server.cpu_seconds() - before
        return _Met(**dataclasses.asdict(load), cpu=taken / load.requests * 1e6)


@dataclasses.dataclass(frozen=True)
class _Met(Load):
    """`cpu`: microseconds of processor time that the server took for a request, the mean."""

    cpu: float


def _attempt(what: str, measure: Callable[[], list[Row]]) -> list[Row]:
    """Its rows, named `what` where they have no name; or one with the reason why there are none."""
    try:
        return [dataclasses.replace(row, what=row.what or what) for row in measure()]
    except (StepFailed, ValueError) as error:
        return [Row(what, met=False, reason=str(error))]


def _in_turns(
    plan: Plan, first: Callable[[], _Measured], second: Callable[[], _Measured]
) -> tuple[list[_Measured], list[_Measured]]:
    """What both gave, measured in turns, the other one first each time."""
    firsts: list[_Measured] = []
    seconds: list[_Measured] = []
    for turn in range(plan.repeats):
        pair = [(first, firsts), (second, seconds)]
        for measure, measured in pair if turn % 2 == 0 else reversed(pair):
            measured.append(measure())
    return firsts, seconds


def _medians(sides: Sequence[Sequence[float]]) -> tuple[float, float]:
    ours, other = (statistics.median(side) for side in sides)
    return ours, other


def _file(name: str, form: str = "onnx") -> Path:
    return FORMATS[form].in_release(release(name).path)
