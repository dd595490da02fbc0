"""Releases as text for people: a table of them, and one in full. Standard library only."""

from collections.abc import Iterable, Sequence
from typing import Any

from serving.contract.release_files import Format, formats_of, size
from serving.store.reader import Reader
from serving.store.release import Release

_FEW = 8
"""Classes that are named before the rest is counted."""


def listing(store: Reader, releases: Iterable[Release]) -> str:
    """A line for each. Raises StoreError when a manifest cannot be read."""
    rows: list[tuple[str, ...]] = [
        ("MODEL", "VERSION", "STATE", "ACCURACY", "FRAMEWORK", "CREATED", "LINEAGE")
    ]
    for release in releases:
        manifest = release.manifest()
        facts = (str(manifest.get(key, "-")) for key in ("framework", "created", "lineage"))
        state = ", ".join(_states(store, release)) or "-"
        rows.append((release.name, str(release.version), state, _accuracy(manifest), *facts))
    return _table(rows)


def details(store: Reader, release: Release) -> str:
    """What its manifest and its contract say. Raises StoreError when they cannot be read."""
    manifest, contract = release.manifest(), release.contract()
    states = ", ".join(_states(store, release))
    facts = {
        "state": states or "neither current nor labelled",
        "created": manifest.get("created"),
        "run": manifest.get("run_id"),
        "framework": manifest.get("framework"),
        "lineage": manifest.get("lineage"),
        "test accuracy": _accuracy(manifest),
        "input": _tensor(contract.get("input")),
        "output": _tensor(contract.get("output")),
        "classes": _few(contract.get("labels")),
        "files": str(release.path),
    }
    rows = [(key, str(fact)) for key, fact in facts.items() if fact]
    parts = [f"{release.name} version {release.version}", _table(rows, "  ")]
    formats: list[tuple[str, ...]] = [("  FORMAT", "FILE", "SIZE", "LARGEST DIFFERENCE")]
    for row in formats_of(manifest):
        file = "saved_model.pb, ..." if row.directory else row.file
        facts_of_it = (f"  {row.title}", file, _megabytes(release, row), _difference(manifest, row))
        formats.append(facts_of_it)
    parts.append(_table(formats))
    left_out = manifest.get("left_out")
    for name, why in sorted(left_out.items() if isinstance(left_out, dict) else ()):
        parts.append(f"  left out: {name}, as {why}")
    return "\n".join(parts)


def _states(store: Reader, release: Release) -> list[str]:
    found = ["current"] if store.current(release.name) == release else []
    if release.version in store.rolled_back(release.name):
        found.append("rolled back")
    named = store.labels(release.name).items()
    return found + sorted(label for label, other in named if other == release)


def _accuracy(manifest: dict) -> str:
    metrics = manifest.get("metrics")
    accuracy = metrics.get("accuracy") if isinstance(metrics, dict) else None
    return f"{accuracy:.4f}" if isinstance(accuracy, float) else "-"


def _tensor(tensor: Any) -> str:
    if not isinstance(tensor, dict):
        return ""
    shape = tensor.get("shape")
    sizes = ["N" if of is None else str(of) for of in shape] if isinstance(shape, list) else ["?"]
    return f"{tensor.get('name')}, {tensor.get('dtype')} {' x '.join(sizes)}"


def _few(labels: Any) -> str:
    if not isinstance(labels, list):
        return ""
    more = f" and {len(labels) - _FEW} more" if len(labels) > _FEW else ""
    return f"{len(labels)}: {', '.join(map(str, labels[:_FEW]))}{more}"


def _megabytes(release: Release, row: Format) -> str:
    """Of a SavedModel only its own files: its directory is the whole release."""
    path = release.path
    parts = [path / "saved_model.pb", path / "variables"] if row.directory else [path / row.file]
    total = sum(size(part) for part in parts if part.exists())
    return f"{total / 1e6:.2f} MB"


def _difference(manifest: dict, row: Format) -> str:
    records = manifest.get("parity")
    found = [
        record["max_difference"]
        for record in (records if isinstance(records, list) else ())
        if isinstance(record, dict)
        and record.get("artifact") == row.name
        and isinstance(record.get("max_difference"), float)
    ]
    return f"{max(found):.1e}" if found else "-"


def _table(rows: Sequence[tuple[str, ...]], indent: str = "") -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows)
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)
