"""What a run that was killed left in ML Metadata and among the artifacts, cleared away.

To be called while the output root is locked: nobody else's step runs then.
"""

import shutil
from pathlib import Path

from ml_metadata import ListOptions, MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

_SCRATCH = ("executor_execution", "driver_execution", "stateful_working_dir")
"""TFX's own folders under a node's `.system`; nothing in them is read once a step has ended."""
LISTINGS = ".listings"
"""A node's folder of ours, see damage.py; what is under `.system` goes after each run."""


def clear(store: MetadataStore, artifacts: Path) -> None:
    """Executions that still count as running have failed; output directories that no published
    artifact names, scratch files and listings of what is gone are removed."""
    active = "last_known_state = RUNNING OR last_known_state = NEW"
    left = store.get_executions(list_options=ListOptions(filter_query=active))
    for execution in left:
        execution.last_known_state = mlmd.Execution.FAILED
    if left:
        store.put_executions(left)
    published = {artifact.uri for artifact in live(store)}
    for node in _folders(artifacts):
        for output in _folders(node):
            for directory in _folders(output):
                if directory.name.isdigit() and str(directory) not in published:
                    shutil.rmtree(directory, ignore_errors=True)
        for name in _SCRATCH:
            for scratch in _folders(node / ".system" / name):
                shutil.rmtree(scratch, ignore_errors=True)
        for listing in (node / LISTINGS).glob("*/*.json"):
            if not (node / listing.parent.name / listing.stem).is_dir():
                listing.unlink(missing_ok=True)


def live(store: MetadataStore) -> list[mlmd.Artifact]:
    """The artifacts that a cache may take."""
    return store.get_artifacts(list_options=ListOptions(filter_query="state = LIVE"))


def _folders(directory: Path) -> list[Path]:
    """Not links, and nothing that begins with a dot."""
    if not directory.is_dir():
        return []
    return [
        path
        for path in directory.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    ]
