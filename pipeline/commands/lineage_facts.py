"""Which release a name, a directory or an artifact out of somebody's app stands for, and all that
is recorded of it, as one object of JSON.

What a release of an earlier version did not record is None.
"""

import dataclasses
import difflib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from components.base.refusal import ConfigError
from components.data import image_index
from components.data.image_index import DIGEST, Row
from components.sources.source import SPLITS
from export.formats import embedded
from pipeline.configuration import presets
from pipeline.configuration.config import BESIDE
from pipeline.configuration.overrides import leaves
from serving.contract.release_files import (
    CONTRACT_IN_SAVED_MODEL,
    DATA,
    MANIFEST,
    SAVED_MODEL_GRAPH,
    files,
    sha256,
)
from serving.store.release import Release, StoreError
from serving.store.store import Store

INDEX = f"{DATA}/{image_index.RELEASED}"
PROVENANCE = ("git_commit", "git_dirty", "lock_sha256", "code_sha256", "python", "packages")
_OF_SAVED_MODEL = ("assets/", "variables/", f"{CONTRACT_IN_SAVED_MODEL.partition('/')[0]}/")
"""Folders of a SavedModel; of its files in front of them, those that end in .pb."""


@dataclasses.dataclass
class Found:
    """`release` is the one that tells, `same` all those of the store with its lineage id, the
    newest last; `file` says what artifact led here, where one did."""

    release: Release
    same: list[Release]
    file: dict[str, Any] | None = None


def find(name: str, root: Path) -> Found:
    """What `name` stands for: MODEL, MODEL@VERSION or MODEL@LABEL of the store under `root`, the
    directory of a release, or an artifact. Raises ConfigError where that is nothing known."""
    store, path = Store(root / "serving"), Path(name).expanduser()
    model, _, version = name.partition("@")
    try:
        if model in store.names():
            return _alike(_named(store, model, version), store)
        if (path / MANIFEST).is_file():
            return _alike(_lying(path, store), store)
        if path.is_file() or (path / SAVED_MODEL_GRAPH).is_file():
            return _of_artifact(path, store)
        if path.is_dir():
            raise ConfigError(
                f"{name!r} is neither the directory of a release nor a SavedModel: it holds no "
                f"{MANIFEST} and no {SAVED_MODEL_GRAPH}."
            )
        known = ", ".join(store.models()) or "none"
        if close := difflib.get_close_matches(model, store.models(), n=1):
            known = f"{known}; did you mean {close[0]}?"
        raise ConfigError(
            f"{name!r} is neither a file nor a model released under {str(store.root)!r} "
            f"({known}): expected MODEL, MODEL@VERSION, a release's directory or an artifact."
        )
    except StoreError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{name!r} cannot be read: {error.strerror or error}.") from error


def _named(store: Store, model: str, version: str) -> Release:
    if version:
        labels = store.labels(model)
        if version in labels:
            return labels[version]
        if not re.fullmatch(r"[1-9][0-9]{0,17}", version):
            raise ConfigError(f"{version!r} is neither a version nor a label of {model}.")
        return store.release(model, int(version))
    if (current := store.current(model)) is None:
        raise ConfigError(f"{model} has no current release.")
    return current


def _lying(path: Path, store: Store) -> Release:
    """The release in that directory; of the store's own, by its own number."""
    path = path.resolve()
    inside = path.parent.parent == (store.root / "models").resolve() and path.name.isdigit()
    if inside and path.parent.name in store.names():
        return store.release(path.parent.name, int(path.name))
    # A copy has no number of its own: 0 until the store knows it.
    return Release(str(Release("", 0, path).manifest().get("model", path.name)), 0, path)


def _alike(release: Release, store: Store) -> Found:
    lineage = _lineage(release)
    if not isinstance(lineage, str):
        raise ConfigError(f"{release.path / MANIFEST} holds no lineage id.")
    return Found(release, _with_lineage(lineage, store))


def _lineage(release: Release) -> Any:
    return release.manifest().get("lineage")


def _with_lineage(lineage: str, store: Store) -> list[Release]:
    """Those of all models. A damaged release says nothing of itself, and hides no other."""
    found = []
    for release in (r for name in store.names() for r in store.releases(name)):
        try:
            if _lineage(release) == lineage:
                found.append(release)
        except StoreError:
            continue
    return found


def _of_artifact(path: Path, store: Store) -> Found:
    try:
        artifact = embedded.read(path)
    except embedded.NoContract as error:
        raise ConfigError(str(error)) from error
    same = _with_lineage(artifact.lineage, store)
    if not same:
        raise ConfigError(
            f"{path} carries the lineage id {artifact.lineage}, and no release under "
            f"{str(store.root)!r} has it{_exported_by(artifact.lineage, store.root.parent)}."
        )
    digest = sha256(path)
    try:
        compared = {release: _compared(path, digest, release) for release in same}
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"A manifest of {same[0].name} is damaged: {error!r}.") from error
    whole = [release for release, (state, _) in compared.items() if state == AS_RELEASED]
    release = (whole or same)[-1]
    state, why = compared[release]
    file = {
        "path": str(path),
        "format": artifact.title,
        "sha256": digest,
        "bytes": sum(file.stat().st_size for file in files(path)),
        "state": state,
        "why": why,
    }
    return Found(release, same, file)


AS_RELEASED, ALTERED = "as released", "altered"


def _compared(path: Path, digest: str, release: Release) -> tuple[str, str]:
    """Whether the artifact is one of that release, and which, or what differs."""
    listed = release.manifest().get("files") or {}
    released = {name: entry["sha256"] for name, entry in listed.items()}
    if not path.is_dir():
        for name, of in released.items():
            if of == digest:
                return AS_RELEASED, name
        return ALTERED, "no file of the release has this SHA-256"
    expected = {name: of for name, of in released.items() if _in_saved_model(name)}
    own = {file.relative_to(path).as_posix(): file for file in files(path)}
    received = {name: sha256(file) for name, file in own.items() if _in_saved_model(name)}
    for name in sorted(expected.keys() | received.keys()):
        if name not in received:
            return ALTERED, f"{name} is missing"
        if expected.get(name) != received[name]:
            return ALTERED, f"{name} differs"
    return AS_RELEASED, "SavedModel"


def _in_saved_model(name: str) -> bool:
    return name.startswith(_OF_SAVED_MODEL) or ("/" not in name and name.endswith(".pb"))


def _exported_by(lineage: str, root: Path) -> str:
    """The run that exported it and released the other framework's, or was refused."""
    for file in sorted(root.glob("runs/[0-9]*/verdict.json"), reverse=True):
        try:
            models = (json.loads(file.read_text()).get("contract") or {}).get("models") or {}
            if any(of.get("lineage") == lineage for of in models.values()):
                return f"; run {file.parent.name} exported it and did not release it"
        except (OSError, ValueError, AttributeError):
            continue
    return "; pass root=PATH where another store holds it"


def told(found: Found, root: Path) -> dict[str, Any]:
    """All that is recorded of the release, see the module's docstring. Raises ConfigError for a
    release whose manifest or index of images cannot be read."""
    release, store = found.release, Store(root / "serving")
    try:
        manifest = release.manifest()
        damage = _damage(release)
        named = [r for r in found.same if r.name == release.name]
        current = store.current(release.name) if named else None
        labels = store.labels(release.name) if named else {}
    except StoreError as error:
        raise ConfigError(str(error)) from error
    run = _run(manifest, root)
    config, changed, preset = _configuration(manifest, run)
    provenance = manifest.get("provenance") or {}
    return {
        "lineage": manifest["lineage"],
        "file": found.file,
        "model": release.name,
        "version": release.version or None,
        "directory": str(release.path),
        "damage": damage,
        "releases": [
            {
                "model": r.name,
                "version": r.version,
                "current": store.current(r.name) == r,
                "labels": sorted(n for n, of in store.labels(r.name).items() if of == r),
            }
            for r in found.same
        ],
        "current": release == current,
        "labels": sorted(name for name, of in labels.items() if of == release),
        "framework": manifest.get("framework"),
        "formats": manifest.get("formats"),
        "created": manifest.get("created"),
        "run_id": manifest.get("run_id"),
        "preset": preset,
        "configuration": config,
        "changed": changed,
        **{key: provenance.get(key) for key in PROVENANCE},
        "source_fingerprint": manifest.get("source_fingerprint"),
        "metrics": manifest.get("metrics"),
        "images": _counts(release, manifest),
        "index": INDEX if (release.path / INDEX).is_file() else None,
        "limit": (config or {}).get("data.limit"),
    }


def _damage(release: Release) -> str | None:
    try:
        dataclasses.replace(release, path=release.path.resolve()).verify()
    except StoreError as error:
        return str(error)
    return None


def _run(manifest: dict, root: Path) -> Path | None:
    """The directory of the run that made it, where it is still there."""
    name = manifest.get("run_id")
    if not isinstance(name, str) or not re.fullmatch(r"\d{8}-\d{6}-\d{6}", name):
        return None
    return root / "runs" / name if (root / "runs" / name).is_dir() else None


def _configuration(
    manifest: dict, run: Path | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, str | None]:
    """All keys, those that differ from the preset's (None where there was none), and its name."""
    config = manifest.get("config")
    if not isinstance(config, dict):
        return None, None, None
    recorded = _flat(config, leaves(presets.digits()))
    preset = _preset(config, run)
    if preset is None:
        return recorded, None, None
    own = presets.PRESETS[preset]()
    defaults = _flat(own.model_dump(mode="json", exclude=BESIDE), leaves(own))
    return recorded, {k: v for k, v in recorded.items() if defaults.get(k, ...) != v}, preset


def _preset(config: dict, run: Path | None) -> str | None:
    """As the run says; without its verdict, the one whose name the release has."""
    name = config.get("name")
    if run is not None:
        try:
            name = json.loads((run / "verdict.json").read_text())["preset"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return name if name in presets.PRESETS else None


def _flat(config: dict, keys: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; an object that is itself the value of one of `keys` stays whole."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        key = prefix + name
        if isinstance(value, dict) and key not in keys:
            found |= _flat(value, keys, f"{key}.")
        else:
            found[key] = value
    return found


def _counts(release: Release, manifest: dict) -> dict[str, dict[str, int]] | None:
    """Images by split and class: of the index, or as the run counted them."""
    if (release.path / INDEX).is_file():
        index = read_index(release)
        return {split: dict(Counter(row.label for row in index[split])) for split in SPLITS}
    return (manifest.get("data") or {}).get("splits")


def read_index(release: Release) -> dict[str, list[Row]]:
    """The release's images by split. Raises ConfigError where it has none, or a damaged index."""
    try:
        return image_index.read(release.path / INDEX)
    except FileNotFoundError:
        raise ConfigError(
            f"{release.path} holds no {INDEX}: its images were not recorded."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def images(release: Release, root: Path) -> list[Row]:
    """Every image of the release, with its name and more of its digest where the run that recorded
    them is still there."""
    released = read_index(release)
    run = _run(release.manifest(), root)
    if run is not None and (run / image_index.INDEX).is_file():
        try:
            longer = image_index.read(run / image_index.INDEX)
        except (OSError, ValueError):
            return [row for split in SPLITS for row in released[split]]
        # Only where it is the very same set is it another form of what the release carries.
        if all(_keys(longer[split]) == _keys(released[split]) for split in SPLITS):
            released = longer
    return [row for split in SPLITS for row in released[split]]


def _keys(rows: list[Row]) -> Counter[tuple[str, str]]:
    return Counter((row.label, row.sha256[:DIGEST]) for row in rows)
