"""Runs the DAG, watches its steps and says of each why it ran. Imports TFX."""

import contextlib
import datetime
import graphlib
import os
import queue
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline, RunOptions
from tfx.orchestration.portable import (
    partial_run_utils,
    runtime_parameter_utils,
    tfx_runner,
)
from tfx.orchestration.portable.launcher import Launcher

from components.base.process import ROOT, ended_children
from components.training.hardware import trainings_in_line
from pipeline.line import damage, interruption, leftovers
from pipeline.line.explanation import explain
from pipeline.line.interruption import Interrupted
from pipeline.line.memory import PeakMemory
from pipeline.line.steps import INTERRUPTED, STOPPED, Step
from pipeline.line.watcher import Watcher

_PATIENCE = 4.0  # seconds
_BEAM_WORKER = Path(__file__).with_name("beam_worker")


class _Launcher(Launcher):
    """TFX's, of which several may run in threads: only one at a time holds `lock`, to write to ML
    Metadata."""

    def __init__(self, lock: threading.Lock, **arguments: Any):
        super().__init__(**arguments)
        self._lock = lock

    def _prepare_execution(self) -> Any:
        with self._lock:
            return super()._prepare_execution()

    def _publish_successful_execution(self, *arguments: Any) -> None:
        with self._lock:
            super()._publish_successful_execution(*arguments)

    def _publish_failed_execution(self, *arguments: Any) -> None:
        with self._lock:
            super()._publish_failed_execution(*arguments)


def _is_training(step: str) -> bool:
    return step.startswith("train_")


class _Node:
    """A node of the DAG that tells the watcher when it starts, ends or fails."""

    def __init__(
        self, node: Any, pipeline: Any, deployment: Any, connection: Any, watcher: Watcher
    ):
        self.name = node.node_info.id
        self._node, self._pipeline, self._deployment = node, pipeline, deployment
        self._connection, self._watcher = connection, watcher

    def run(self) -> None:
        watcher, name = self._watcher, self.name
        # Only trainings run beside others: all else works in this process, on all cores.
        with contextlib.nullcontext() if _is_training(name) else watcher.this_process:
            watcher.begin(name)
            memory = PeakMemory()
            try:
                with memory:
                    self._launch()
                cached, why, outputs = self._explain()
                if not cached:
                    why = watcher.damaged.get(name, why)
                    for directory in outputs.values():
                        damage.record(Path(directory))
            except BaseException as error:
                watcher.fail(watcher.explained(error, name))
                interrupted = isinstance(watcher.error, Interrupted)
                reason = INTERRUPTED if interrupted else STOPPED
                watcher.end(name, False, reason, {}, peak_memory=memory.bytes)
                raise
            watcher.end(name, cached, why, outputs, memory.bytes)

    def _launch(self) -> None:
        if self._node.execution_options.run.perform_snapshot:
            with self._watcher.metadata, metadata.Metadata(self._connection) as handle:
                partial_run_utils.snapshot(handle, self._pipeline)
        _Launcher(
            self._watcher.metadata,
            pipeline_node=self._node,
            mlmd_connection=metadata.Metadata(self._connection),
            pipeline_info=self._pipeline.pipeline_info,
            pipeline_runtime_spec=self._pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(self._deployment, self.name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, self.name),
        ).launch()

    def _explain(self) -> tuple[bool, str, dict[str, str]]:
        run_id = self._pipeline.runtime_spec.pipeline_run_id.field_value.string_value
        with self._watcher.metadata, metadata.Metadata(self._connection) as handle:
            pipeline_id = self._pipeline.pipeline_info.id
            return explain(handle.store, pipeline_id, run_id, self.name, self._watcher)


class LineRunner(tfx_runner.IrBasedRunner):
    """Runs each node in this process as soon as those upstream of it have ended, several at once
    in threads. TFX's own runners, LocalDagRunner and BeamDagRunner, run one after the other."""

    def __init__(self, watcher: Watcher):
        self._watcher = watcher

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        run_id = datetime.datetime.now().strftime("%Y%m%d-%H%M%S.%f")
        with warnings.catch_warnings():  # TFX calls what protobuf deprecates
            warnings.simplefilter("ignore", DeprecationWarning)
            runtime_parameter_utils.substitute_runtime_parameter(
                pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
            )
        if run_options:
            partial = run_options.partial_run
            partial_run_utils.mark_pipeline(
                pipeline, to_nodes=partial.to_nodes, snapshot_settings=partial.snapshot_settings
            )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connections = deployment.metadata_connection_config
        connection = getattr(connections, connections.WhichOneof("connection_config"))
        wanted = {
            node.pipeline_node.node_info.id: node.pipeline_node
            for node in pipeline.nodes
            if not node.pipeline_node.execution_options.HasField("skip")
        }
        with trainings_in_line(sum(map(_is_training, wanted))):
            _run_in_order(
                {
                    _Node(
                        node, pipeline, deployment, connection, self._watcher
                    ): node.upstream_nodes
                    for node in wanted.values()
                }
            )


def _run_in_order(nodes: dict[_Node, Any]) -> None:
    """Runs the nodes, each after those whose names it comes with. The first that fails ends the
    processes of the others, whose trainings go on from their checkpoints the next time."""
    named = {node.name: node for node in nodes}
    order = graphlib.TopologicalSorter(
        {node: [named[name] for name in names if name in named] for node, names in nodes.items()}
    )
    order.prepare()
    ended: queue.SimpleQueue[tuple[_Node, BaseException | None]] = queue.SimpleQueue()
    running = 0

    def run(node: _Node) -> None:
        try:
            node.run()
        except BaseException as error:  # noqa: BLE001 - raised again below
            ended.put((node, error))
        else:
            ended.put((node, None))

    while order.is_active():
        for node in order.get_ready():
            threading.Thread(target=run, args=(node,), name=node.name, daemon=True).start()
            running += 1
        node, error = ended.get()
        running -= 1
        if error is not None:
            with ended_children():
                for _ in range(running):
                    ended.get()
            raise error
        order.done(node)


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
    """Runs the pipeline, or only the step `until` and what it needs; returns its steps in the order
    in which they ended, and the first error, if any.

    `inferred` are the steps' parameters that follow from the images (`train.epochs`).
    `started(name)` and `finished(step)` are called as steps begin and end, from their threads.
    An interruption (interruption.py) is returned as the error: it kills the steps' processes, and
    gives a step without one _PATIENCE seconds before it is given up.
    """
    interruption.check()
    with metadata.Metadata(pipeline.metadata_connection_config) as handle:
        artifacts = Path(pipeline.pipeline_info.pipeline_root)
        leftovers.clear(handle.store, artifacts)
        damaged = damage.discard_damaged(handle.store, artifacts)
    watcher = Watcher(started, finished, inferred, artifacts, damaged)
    ended = threading.Event()

    def work() -> None:
        options = RunOptions(to_nodes=[until]) if until else None
        try:
            with beam_workers():
                LineRunner(watcher).run(pipeline, run_options=options)
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
