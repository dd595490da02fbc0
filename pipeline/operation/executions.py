"""What ML Metadata knows of an output root's executions and artifacts, without TFX.

What is no longer needed is marked as deleted, so that TFX's cache hands it out no more, and its
parameters, most of the database, are forgotten: rows stay, as their ids are part of cache keys.
"""

import contextlib
import sqlite3
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.base.refusal import ConfigError
from pipeline.operation.retention import Execution

_MADE = mlmd.Execution.COMPLETE
_SUCCESSFUL = (_MADE, mlmd.Execution.CACHED)
_SPARE = 0.2
"""Of a database's pages, unused: more are given back to the disk."""

Place = tuple[str, str, str]
"""Of an artifact below the pipeline's root: step, output and execution. The root itself may have
been moved, or be mounted elsewhere."""


class Executions:
    """The executions in the database at `path`, which nobody else may be writing to."""

    def __init__(self, path: Path, *, writable: bool = False):
        modes = mlmd.SqliteMetadataSourceConfig
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(path)
        config.sqlite.connection_mode = modes.READWRITE if writable else modes.READONLY
        try:
            self._store = MetadataStore(config)
        except RuntimeError as error:
            raise ConfigError(
                f"{path} cannot be read ({str(error)[:100]}): expected ML Metadata's database; "
                "moved away, it is made anew by the next run, which does every step again."
            ) from error

    def all(self) -> list[Execution]:
        store = self._store
        runs = {
            execution.id: context.id
            for context in store.get_contexts_by_type("pipeline_run")
            for execution in store.get_executions_by_context(context.id)
        }
        nodes = {
            execution.id: (context.name, execution)
            for context in store.get_contexts_by_type("node")
            for execution in store.get_executions_by_context(context.id)
        }
        outputs: dict[int, set[int]] = {}
        for event in store.get_events_by_execution_ids(list(nodes)) if nodes else ():
            if event.type in (mlmd.Event.OUTPUT, mlmd.Event.PENDING_OUTPUT):
                outputs.setdefault(event.execution_id, set()).add(event.artifact_id)
        return [
            Execution(
                id=number,
                node=node,
                run=runs[number],
                successful=execution.last_known_state in _SUCCESSFUL,
                made=execution.last_known_state == _MADE,
                outputs=frozenset(outputs.get(number, ())),
                run_id=execution.custom_properties["run_id"].string_value
                if node.endswith(".push")
                else "",
            )
            for number, (node, execution) in nodes.items()
            if number in runs
        ]

    def places(self, artifacts: set[int]) -> set[Place]:
        """Where those artifacts lie."""
        found = self._store.get_artifacts_by_id(list(artifacts)) if artifacts else []
        return {place(artifact.uri) for artifact in found}

    def forget(self, artifacts: set[int], executions: set[int]) -> None:
        """Marks all artifacts but these as deleted, and drops the parameters of all executions but
        these. Artifacts that are kept are not written to: what they are is part of cache keys."""
        deleted = mlmd.Artifact.DELETED
        gone = [
            artifact
            for artifact in self._store.get_artifacts()
            if artifact.id not in artifacts and artifact.state != deleted
        ]
        for artifact in gone:
            artifact.state = deleted
        self._store.put_artifacts(gone)
        bare = [
            execution
            for execution in self._store.get_executions()
            if execution.id not in executions and execution.custom_properties
        ]
        for execution in bare:
            execution.custom_properties.clear()
        self._store.put_executions(bare)


def forget(path: Path, artifacts: set[int], executions: set[int]) -> None:
    """Does so in the database at `path`, and gives its unused pages back if there are many."""
    Executions(path, writable=True).forget(artifacts, executions)
    with contextlib.closing(sqlite3.connect(path)) as database:
        (free,) = database.execute("PRAGMA freelist_count").fetchone()
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        if free > _SPARE * pages:
            database.execute("VACUUM")


def place(path: str | Path) -> Place:
    step, output, execution = Path(path).parts[-3:]
    return step, output, execution
