"""What must hold in an output root after a run, whatever went before."""

import contextlib
import json
import sqlite3
from pathlib import Path

from pipeline.line import scratch
from serving.store.store import Store

_RUNNING = 2  # mlmd.Execution.RUNNING


def running(root: Path) -> list[int]:
    """Ids of the executions that ML Metadata thinks are running."""
    with contextlib.closing(sqlite3.connect(root / "metadata.sqlite")) as database:
        rows = database.execute("SELECT id FROM Execution WHERE last_known_state = ?", [_RUNNING])
        return [row[0] for row in rows]


def orphans(root: Path) -> list[str]:
    """Output directories that no published artifact names, and TFX's scratch files."""
    with contextlib.closing(sqlite3.connect(root / "metadata.sqlite")) as database:
        uris = {row[0] for row in database.execute("SELECT uri FROM Artifact")}
    artifacts = root / "artifacts"
    outputs = [path for path in artifacts.glob("*/[!.]*/*") if str(path) not in uris]
    return [str(path.relative_to(artifacts)) for path in outputs]


def check_whole(root: Path) -> None:
    """What must hold in an output root after a run that came to its end, whatever went before."""
    with contextlib.closing(sqlite3.connect(root / "metadata.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert running(root) == [] and orphans(root) == [] and not scratch.folder(root).exists()
    runs = sorted(path for path in (root / "runs").iterdir() if not path.is_symlink())
    for directory in runs:
        assert json.loads((directory / "verdict.json").read_text())["sentence"], directory
        assert not (directory / "progress.json").exists() and not list(directory.glob(".*"))
    assert (root / "runs" / "latest").readlink().name == runs[-1].name
    store = Store(root / "serving")
    for name in store.names():
        versions = []
        for release in store.releases(name):
            release.verify()
            versions.append(release.version)
        folders = [path.name for path in (root / "serving/models" / name).iterdir()]
        assert sorted(int(n) for n in folders if n.isdigit()) == sorted(versions)
