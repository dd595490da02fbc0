"""Which releases have an image in their index: told by its pixels, as ingest tells images apart.

Another name, folder, or lossless form of the file is the same image; one that was resized or saved
as JPEG again is another.
"""

import dataclasses
import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Any

from components.base.refusal import ConfigError
from components.data.image_index import DIGEST
from components.sources.config import DataConfig
from components.sources.source import RawImage
from pipeline.commands import lineage_facts
from serving.store.release import Release, StoreError
from serving.store.store import Store

_LARGEST = DataConfig(source="", max_file_mib=1024, max_megapixels=178)
"""A run may have taken larger files than by default: as large as can be."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a release has it; `name` is the file's then, where that is still known."""

    model: str
    version: int
    current: bool
    labels: list[str]
    split: str
    label: str
    name: str


@dataclasses.dataclass(frozen=True)
class Asked:
    """`sha256` is of the file, `pixels_sha256` what the index begins with; `without_index` and
    `damaged` name the releases of which nothing can be said, as MODEL@VERSION."""

    file: Path
    sha256: str
    pixels_sha256: str
    places: list[Place]
    searched: int
    without_index: list[str]
    damaged: list[str]

    def to_json(self) -> dict[str, Any]:
        """With the digest as indices hold it."""
        places = [dataclasses.asdict(place) for place in self.places]
        for place in places:
            place["class"] = place.pop("label")
        return {
            "file": str(self.file),
            "sha256": self.sha256,
            "pixels_sha256": self.pixels_sha256,
            "indexed_as": self.pixels_sha256[:DIGEST],
            "releases": places,
            "searched": self.searched,
            "without_index": self.without_index,
            "damaged": self.damaged,
        }


def ask(file: Path, root: Path) -> Asked:
    """Looks into every release of the store under `root`. Raises ConfigError where `file` is no
    image that a run could have read, or the store is damaged."""
    sha256, pixels = _digests(file)
    store = Store(root / "serving")
    places: list[Place] = []
    searched: list[str] = []
    unknown: dict[str, list[str]] = {"without_index": [], "damaged": []}
    try:
        for model in store.names():
            releases = store.releases(model)
            current, labels = store.current(model), store.labels(model)
            for release in releases:
                name = f"{model}@{release.version}"
                try:
                    rows = _rows(release, pixels, root)
                except (OSError, EOFError, StoreError, ConfigError, zlib.error):
                    unknown["damaged"].append(name)
                    continue
                if rows is None:
                    unknown["without_index"].append(name)
                    continue
                searched.append(name)
                own = sorted(label for label, of in labels.items() if of == release)
                places.extend(
                    Place(model, release.version, release == current, own, *row) for row in rows
                )
    except StoreError as error:
        raise ConfigError(str(error)) from error
    return Asked(file, sha256, pixels, places, len(searched), **unknown)


def _digests(file: Path) -> tuple[str, str]:
    from components.data.examine import Quarantined, examine

    file = file.expanduser()
    if not file.is_file():  # a pipe would be waited for
        raise ConfigError(f"{str(file)!r} does not exist, or is no file.")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error.strerror or error}.") from error
    result = examine(RawImage(file.name, data, 0, None), _LARGEST)
    if isinstance(result, Quarantined):
        words = result.reason.replace("_", " ")
        raise ConfigError(f"{str(file)!r} is no image that a run would use: {words}.")
    return hashlib.sha256(data).hexdigest(), result.sha256


def _rows(release: Release, pixels: str, root: Path) -> list[tuple[str, str, str]] | None:
    """Split, class and name of each copy that the release has; None where it kept no index."""
    path = release.path / lineage_facts.INDEX
    if not path.is_file():
        return None
    # Most releases have not got it: that is known long before a large index is taken apart.
    with gzip.open(path) as packed:
        if pixels[:DIGEST].encode() not in packed.read():
            return []
    return [
        (row.split, row.label, row.name)
        for row in lineage_facts.images(release, root)
        if row.sha256[:DIGEST] == pixels[:DIGEST]
    ]
