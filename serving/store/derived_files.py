"""What follows from the history: the link `current`, and the files that other servers read.

They are replaced in one step each, and only where they change. Standard library only.
"""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from serving.contract.release_files import FORMATS, Format, formats_of
from serving.store import config_files, files
from serving.store.release import Release, StoreError


@dataclasses.dataclass(frozen=True)
class State:
    """A model's current release, and its labelled ones by label."""

    current: Release
    labels: Mapping[str, Release]


def write(root: Path, models: Mapping[str, State]) -> None:
    """Brings all of them up to date in the store at `root`. Raises OSError."""
    pinned = {}
    for name, state in models.items():
        release, labels = state.current, state.labels
        if _in_saved_model(release):
            labelled = {k: v.version for k, v in labels.items() if _in_saved_model(v)}
            pinned[name] = config_files.Pinned.of(release.version, labelled)
        directory = root / "models" / name
        files.replace_link(directory / "current", str(release.version), root)
        # A release damaged since must not stop the publish or the rollback that repairs it.
        with contextlib.suppress(KeyError, TypeError, ValueError):  # a StoreError is one
            files.replace_text(directory / "config.pbtxt", triton(release, labels), root)
    files.replace_text(root / "batching.config", config_files.tf_serving_batching(), root)
    files.replace_text(root / "models.config", config_files.tf_serving_models(pinned), root)


def triton(release: Release, labels: Mapping[str, Release]) -> str:
    """`config.pbtxt` of that release and of the labelled ones that it is true of.

    Raises KeyError, TypeError or ValueError when the release cannot be served.
    """
    contract = release.contract()
    alike = {
        label: other.version
        for label, other in labels.items()
        if config_files.alike(contract, _contract(other))
    }
    pinned = config_files.Pinned.of(release.version, alike)
    return config_files.triton_model(release.name, release.version, contract, pinned.versions)


def _contract(release: Release) -> dict:
    """Of a damaged release, none: it stops nothing, and nothing is alike."""
    try:
        return release.contract()
    except StoreError:
        return {}


def _in_saved_model(release: Release) -> bool:
    return any(row.directory for row in _formats(release))


def _formats(release: Release) -> list[Format]:
    """What the model is in. Releases that do not say, or are damaged, are taken to be whole."""
    try:
        return formats_of(release.manifest())
    except (StoreError, KeyError, TypeError):
        return list(FORMATS.values())
