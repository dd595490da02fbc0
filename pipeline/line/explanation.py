"""Why a node of the DAG ran, and what it left, by ML Metadata."""

from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.data import image_index
from components.data.image_changes import changes, phrase
from pipeline.line.watcher import Watcher
from pipeline.line.why import IMAGES, why_it_ran


def explain(
    store: MetadataStore, pipeline_id: str, run_id: str, node: str, watcher: Watcher
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
