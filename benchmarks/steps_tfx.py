"""What the steps of a TFX pipeline took, by its own metadata."""

from pathlib import Path

from ml_metadata import MetadataStore
from tfx.orchestration import metadata


def steps(database: Path) -> list[dict]:
    """The steps of the only run in `database`, in order: name, start and stop in seconds of the
    epoch."""
    store = MetadataStore(metadata.sqlite_metadata_connection_config(str(database)))
    found = []
    for context in store.get_contexts_by_type("node"):
        (execution,) = store.get_executions_by_context(context.id)
        start = execution.create_time_since_epoch / 1000
        stop = execution.last_update_time_since_epoch / 1000
        name = context.name.rpartition(".")[2]
        found.append({"name": name, "start": start, "stop": stop})
    return sorted(found, key=lambda step: step["start"])
