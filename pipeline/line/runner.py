"""Runs the DAG on Beam, watches its steps and says of each why it ran. Imports TFX.

Steps report to `_watcher` of this module: Beam pickles the node objects it runs, so they cannot
carry a reference to anything living; BeamDagRunner runs them in this very process.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import StandardOptions
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata
from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner, PipelineNodeAsDoFn
from tfx.orchestration.pipeline import Pipeline, RunOptions

from components.base import disk
from components.base.process import ROOT, ended_children
from components.base.refusal import Refusal
from components.data import image_index
from components.data.image_changes import changes, phrase
from pipeline.configuration.beam import RUNNER
from pipeline.line import damage, interruption, leftovers
from pipeline.line.interruption import Interrupted
from pipeline.line.memory import PeakMemory
from pipeline.line.steps import INTERRUPTED, STOPPED, Step
from pipeline.line.why import IMAGES, why_it_ran

_PATIENCE = 4.0  # seconds
_BEAM_WORKER = Path(__file__).with_name("beam_worker")


class _Watcher:
    """What the steps report, from whichever threads; `artifacts` is where they write, `damaged`
    says of nodes why their outputs could not be taken from the cache, `inferred` are the steps'
    parameters that follow from the images."""

    def __init__(
        self,
        started: Callable[[str], None],
        finished: Callable[[Step], None],
        inferred: frozenset[str],
        artifacts: Path,
        damaged: dict[str, str],
    ):
        self.inferred = inferred
        self.images = ""  # what became of them, once ingest has run on other ones
        self.steps: list[Step] = []
        self.error: BaseException | None = None
        self.artifacts, self.damaged = artifacts, damaged
        self._started, self._finished = started, finished
        self._running: dict[str, float] = {}
        self._ended = False
        self._lock = threading.RLock()

    def begin(self, name: str) -> None:
        with self._lock:
            if self._ended:
                raise RuntimeError("the run has ended")
            self._running[name] = time.monotonic()
            self._started(name)

    def end(
        self,
        name: str,
        cached: bool,
        why: str,
        outputs: dict[str, str] | None = None,
        peak_memory: int = 0,
    ) -> None:
        with self._lock:
            if not self._ended:
                seconds = time.monotonic() - self._running.pop(name)
                self.steps.append(Step(name, seconds, cached, why, outputs or {}, peak_memory))
                self._finished(self.steps[-1])

    def fail(self, error: BaseException) -> None:
        """Keeps the first error; an interruption is the reason of all that follow it."""
        with self._lock:
            if self.error is None or isinstance(error, Interrupted):
                self.error = error

    def explained(self, error: BaseException, name: str) -> BaseException:
        """The error of the step `name`, or that the disk is full where that is behind it."""
        known = isinstance(error, Refusal) and not isinstance(error, disk.DiskFull)
        if known or not (disk.is_full(error) or disk.nothing_free(self.artifacts)):
            return error
        logging.error("The disk is full", exc_info=error)
        return disk.disk_full(self.artifacts, _room(self.artifacts, self.steps, name))

    def close(self) -> None:
        """Steps that still run are given up, and nothing is reported any more."""
        with self._lock:
            for name in list(self._running):
                self.end(name, False, INTERRUPTED)
            self._ended = True


_watcher: _Watcher | None = None


class _WatchedNode(PipelineNodeAsDoFn):
    """A node of the DAG that tells the watcher when it starts, ends or fails."""

    def _run_node(self) -> None:
        watcher, name = _watcher, self._node_id
        assert watcher is not None, "nodes run within `execute`"
        watcher.begin(name)
        memory = PeakMemory()
        try:
            with memory:
                super()._run_node()
            cached, why, outputs = self._explain()
            if not cached:
                why = watcher.damaged.get(name, why)
                for directory in outputs.values():
                    damage.record(Path(directory))
        except BaseException as error:
            # Beam and TFX wrap what passes through them: keep the error as it was raised.
            watcher.fail(watcher.explained(_cause(error), name))
            interrupted = isinstance(watcher.error, Interrupted)
            watcher.end(
                name, False, INTERRUPTED if interrupted else STOPPED, {}, peak_memory=memory.bytes
            )
            raise
        watcher.end(name, cached, why, outputs, memory.bytes)

    def _explain(self) -> tuple[bool, str, dict[str, str]]:
        run_id = self._pipeline_runtime_spec.pipeline_run_id.field_value.string_value
        with metadata.Metadata(self._mlmd_connection_config) as handle:
            assert _watcher is not None, "nodes run within `execute`"
            return _explain(handle.store, self._pipeline_info.id, run_id, self._node_id, _watcher)


def _cause(error: BaseException) -> BaseException:
    """The refusal inside a chain of wrappers, if there is one."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, Refusal):
            return link
        link = link.__cause__ or link.__context__
    return error


class LineRunner(BeamDagRunner):
    """BeamDagRunner on Beam's in-process runner; the base class opens a pipeline without options,
    and Beam's default for those is a server that it would have to download."""

    _PIPELINE_NODE_DO_FN_CLS = _WatchedNode

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        with _default_beam_runner(RUNNER):
            super().run_with_ir(pipeline, run_options)


@contextlib.contextmanager
def _default_beam_runner(name: str) -> Iterator[None]:
    before = StandardOptions.DEFAULT_RUNNER
    StandardOptions.DEFAULT_RUNNER = name
    try:
        yield
    finally:
        StandardOptions.DEFAULT_RUNNER = before


@contextlib.contextmanager
def beam_workers() -> Iterator[None]:
    """Lets Beam's worker processes (--direct_running_mode=multi_processing), which inherit the
    environment, find this project, import TFX in the one order that works, and die with us."""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["DARKROOM_RUN"] = str(os.getpid())
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_BEAM_WORKER), str(ROOT), before]))
    try:
        yield
    finally:
        os.environ["PYTHONPATH"] = before


def execute(
    pipeline: Pipeline,
    started: Callable[[str], None],
    finished: Callable[[Step], None],
    until: str | None = None,
    inferred: frozenset[str] = frozenset(),
) -> tuple[list[Step], BaseException | None]:
    """Runs the pipeline, or only the step `until` and what it needs; returns its steps in order,
    the last one that which failed, and the first error, if any.

    `inferred` are the steps' parameters that follow from the images (`train.epochs`).
    `started(name)` and `finished(step)` are called as steps begin and end, from Beam's threads.
    An interruption (interruption.py) is returned as the error: it kills the steps' processes, and
    gives a step without one _PATIENCE seconds before it is given up.
    """
    global _watcher
    interruption.check()
    with metadata.Metadata(pipeline.metadata_connection_config) as handle:
        artifacts = Path(pipeline.pipeline_info.pipeline_root)
        leftovers.clear(handle.store, artifacts)
        damaged = damage.discard_damaged(handle.store, artifacts)
    watcher = _watcher = _Watcher(started, finished, inferred, artifacts, damaged)
    ended = threading.Event()

    def work() -> None:
        options = RunOptions(to_nodes=[until]) if until else None
        try:
            with beam_workers():
                LineRunner().run(pipeline, run_options=options)
        except BaseException as error:  # noqa: BLE001 - the caller turns it into a verdict
            watcher.fail(error)
        finally:
            ended.set()

    # Not in the main thread: that one alone hears signals, and must not be inside of Beam then.
    threading.Thread(target=work, name="line", daemon=True).start()
    try:
        ended.wait()
    except Interrupted as error:
        watcher.fail(error)
        with ended_children():
            ended.wait(_PATIENCE)
    watcher.close()
    return watcher.steps, watcher.error


def _room(artifacts: Path, steps: list[Step], name: str) -> str:
    """What is known of how much the step `name`, which found the disk full, needs."""
    listed = [
        (int(path.name), bytes_)
        for path in (artifacts / name).glob("[!.]*/*")
        if path.name.isdigit() and (bytes_ := damage.listed_bytes(path))
    ]
    if listed:
        took = sum(bytes_ for number, bytes_ in listed if number == max(listed)[0])
        return f", and step {name} wrote {disk.size(took)} the time before"
    took = sum(damage.listed_bytes(Path(uri)) for step in steps for uri in step.outputs.values())
    return f", and this run's finished steps wrote {disk.size(took)}"


def _explain(
    store: MetadataStore, pipeline_id: str, run_id: str, node: str, watcher: _Watcher
) -> tuple[bool, str, dict[str, str]]:
    """(cached, why it ran, output directories) of a node's execution in this run."""
    node_context = store.get_context_by_type_and_name("node", f"{pipeline_id}.{node}")
    run_context = store.get_context_by_type_and_name("pipeline_run", run_id)
    executions = store.get_executions_by_context(node_context.id)
    in_run = {e.id for e in store.get_executions_by_context(run_context.id)}
    current = max((e for e in executions if e.id in in_run), key=lambda e: e.id)
    outputs = _outputs(store, current.id)
    if current.last_known_state == mlmd.Execution.CACHED:
        return True, "nothing changed", outputs
    before = [
        e
        for e in executions
        if e.id < current.id
        and e.last_known_state in (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)
    ]
    previous = max(before, key=lambda e: e.id, default=None)
    properties, earlier = _properties(current), _properties(previous) if previous else None
    if previous and earlier and earlier.get(IMAGES) != properties.get(IMAGES):
        watcher.images = _other_images(_outputs(store, previous.id), outputs)
    why = why_it_ran(
        properties,
        earlier,
        _events(store, current.id, mlmd.Event.INPUT),
        _events(store, previous.id, mlmd.Event.INPUT) if previous else {},
        watcher.images,
        watcher.inferred,
    )
    return False, why, outputs


def _other_images(before: dict[str, str], after: dict[str, str]) -> str:
    """What became of ingest's images, as far as both indices are still there."""
    try:
        found = [image_index.read(Path(o["report"], image_index.INDEX)) for o in (before, after)]
    except (KeyError, OSError, ValueError):
        return "other images"
    return phrase(changes(*found)) or "other files, the same images"


def _outputs(store: MetadataStore, execution: int) -> dict[str, str]:
    """Directories of an execution's outputs by name."""
    return {
        name: store.get_artifacts_by_id([ids[0]])[0].uri
        for name, ids in _events(store, execution, mlmd.Event.OUTPUT).items()
    }


def _events(store: MetadataStore, execution: int, kind: int) -> dict[str, list[int]]:
    """Artifact ids of an execution's inputs or outputs by name."""
    found: dict[str, list[int]] = {}
    for event in store.get_events_by_execution_ids([execution]):
        if event.type == kind:
            found.setdefault(event.path.steps[0].key, []).append(event.artifact_id)
    return {name: sorted(ids) for name, ids in found.items()}


def _properties(execution: mlmd.Execution) -> dict[str, str]:
    """The step's parameters as text."""
    return {
        name: str(getattr(value, value.WhichOneof("value")))
        for name, value in execution.custom_properties.items()
        if not name.startswith("__") and value.WhichOneof("value") in (
            "string_value", "int_value", "double_value", "bool_value",
        )
    }  # fmt: skip
