"""Runs the DAG on Beam, watches its steps and says of each why it ran. Imports TFX.

Steps report to `_watcher` of this module: Beam pickles the node objects it runs, so they cannot
carry a reference to anything living; BeamDagRunner runs them in this very process.
"""

import contextlib
import os
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

from components.base.process import ROOT
from components.base.refusal import Refusal
from components.data import image_index
from components.data.image_changes import changes, phrase
from pipeline.configuration.beam import RUNNER
from pipeline.line.memory import PeakMemory
from pipeline.line.steps import STOPPED, Step
from pipeline.line.why import IMAGES, why_it_ran

_BEAM_WORKER = Path(__file__).with_name("beam_worker")


class _Watcher:
    def __init__(
        self,
        started: Callable[[str], None],
        finished: Callable[[Step], None],
        inferred: frozenset[str],
    ):
        self.started, self.finished, self.inferred = started, finished, inferred
        self.images = ""  # what became of them, once ingest has run on other ones
        self.steps: list[Step] = []
        self.error: BaseException | None = None

    def end(self, step: Step) -> None:
        self.steps.append(step)
        self.finished(step)


_watcher: _Watcher | None = None


class _WatchedNode(PipelineNodeAsDoFn):
    """A node of the DAG that tells the watcher when it starts, ends or fails."""

    def _run_node(self) -> None:
        watcher, name, start = _watcher, self._node_id, time.monotonic()
        assert watcher is not None, "nodes run within `execute`"
        watcher.started(name)
        memory = PeakMemory()
        try:
            with memory:
                super()._run_node()
        except BaseException as error:
            # Beam and TFX wrap what passes through them: keep the error as it was raised.
            watcher.error = watcher.error or _cause(error)
            seconds = time.monotonic() - start
            watcher.end(Step(name, seconds, False, STOPPED, peak_memory=memory.bytes))
            raise
        watcher.end(Step(name, time.monotonic() - start, *self._explain(), memory.bytes))

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
    environment, find this project and import TFX in the one order that works."""
    before = os.environ.get("PYTHONPATH", "")
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
    `started(name)` and `finished(step)` are called as steps begin and end, from Beam's thread.
    """
    global _watcher
    _watcher = _Watcher(started, finished, inferred)
    options = RunOptions(to_nodes=[until]) if until else None
    try:
        with beam_workers():
            LineRunner().run(pipeline, run_options=options)
    except Exception as error:  # noqa: BLE001 - the caller turns it into a verdict
        _watcher.error = _watcher.error or error
    if isinstance(_watcher.error, KeyboardInterrupt):
        raise KeyboardInterrupt
    watcher, _watcher = _watcher, None
    return watcher.steps, watcher.error


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
