"""Scheduled runs of a stand-in for the line, and crontabs that are nobody's."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.configuration import presets
from pipeline.operation.triggers.cron_expression import CronExpression
from pipeline.operation.triggers.scheduled_run import ScheduledRun

RECORDER = """\
import json, os, pathlib, sys
told = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
pathlib.Path("told.json").write_text(json.dumps(told))
print("what it says on standard output")
print("and on standard error", file=sys.stderr)
sys.exit(int(pathlib.Path("code").read_text()))
"""
"""A module called `pipeline` in the run's directory."""

STORED = """\
#!/bin/sh
file='{file}'
[ "$1" = - ] && exec cat >"$file"
[ -f "$file" ] || {{ echo "no crontab for me" >&2; exit 1; }}
case "$1" in
-l) exec cat "$file" ;;
-r) exec rm "$file" ;;
esac
"""
"""crontab for a machine without cron."""


def scheduled(directory: Path, cron: str = "0 3 * * *", words=(), name="digits", **environment):
    """A run of the digits with the output root `out` in `directory`, not validated."""
    return ScheduledRun(
        name=name,
        preset="digits",
        cron=CronExpression.parse(cron),
        words=tuple(words),
        root=directory / "out",
        directory=directory,
        environment={"PATH": os.environ["PATH"], "HOME": str(directory)} | environment,
        config=presets.digits(),
    )


def recorder(directory: Path, code: int = 0) -> Path:
    """Where a run starts the recorder, which ends with `code`."""
    (directory / "out").mkdir(parents=True)
    (directory / "pipeline.py").write_text(RECORDER)
    (directory / "code").write_text(str(code))
    return directory


def a_crontab(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts a `crontab` in front of PATH: `stored` in a file, or `real`, that of user nobody."""
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    program = folder / "crontab"
    real = shutil.which("crontab")
    if kind == "real":
        if real is None or os.geteuid() != 0:
            pytest.skip("no crontab here, or no root to use nobody's")
        program.write_text(f'#!/bin/sh\nexec {real} -u nobody "$@"\n')
        program.chmod(0o755)
        # Tests in another process have the same one.
        with open(Path(tempfile.gettempdir()) / "darkroom-nobodys-crontab.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            asked = subprocess.run([program, "-l"], capture_output=True)
            if asked.returncode == 0:
                pytest.skip("nobody has a crontab")
            yield
            subprocess.run([program, "-r"], capture_output=True)
    else:
        program.write_text(STORED.format(file=folder / "stored"))
        program.chmod(0o755)
        yield
