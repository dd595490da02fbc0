"""Changes to a release store on a disk that fails at the k-th call, for every k.

`python -m tests.helpers.faulty_disk TEMPLATE SOURCE WORK CHANGE FAULT` runs with faulty_disk.c
loaded before libc. Each change is made in a fork of it, to a fresh copy of the store TEMPLATE;
what is left is looked at, then repaired and used. Prints a JSON object: how many faults there were,
and how often the version was released in spite of one. Ends with the first AssertionError.
"""

import ctypes
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from serving.store.release import StoreError
from serving.store.store import Store
from tests.helpers.visible_store import check_visible

CHANGES: dict[str, Callable[[Store, str], object]] = {
    "publish": lambda store, source: store.publish("digits", source),
    "prune": lambda store, _: store.prune("digits", 1),
    "rollback": lambda store, _: store.rollback("digits", 1),
    "promote": lambda store, _: store.promote("digits", 1),
    "label": lambda store, _: store.label("digits", "stable", 1),
    "repair": lambda store, _: store.repair(),
}
FAULTS = {
    "killed": (b"k", 0),
    "input/output error": (b"e", errno.EIO),
    "disk full": (b"f", errno.ENOSPC),
}
_DONE, _REFUSED, _RELEASED = 0, 3, 4
"""How a fork ends: by itself, with an error that left everything as it was, with one that says that
the version is released nevertheless."""


def build(directory: Path) -> Path:
    """The library. Raises OSError or CalledProcessError where there is no compiler."""
    library = directory / "faulty_disk.so"
    source = Path(__file__).with_suffix(".c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def arm(fault: str, at: int) -> None:
    """Of this process, in which the library is loaded."""
    mode, number = FAULTS[fault]
    _LIBC.faulty_disk_arm(ctypes.c_char(mode), ctypes.c_int(number), ctypes.c_long(at))


def calls() -> int:
    return _LIBC.faulty_disk_calls()


_LIBC = ctypes.CDLL(None)


def attempt(root: Path, change: str, source: str, fault: str, at: int) -> tuple[int, int]:
    """How the fork ended, and how many calls it had made."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        arm(fault, at)
        status = _DONE
        try:
            CHANGES[change](Store(root), source)
        except StoreError as error:
            text = str(error)
            known = os.strerror(FAULTS[fault][1]) in text or "altered" in text
            status = 1 if not known else _RELEASED if "is released, but" in text else _REFUSED
        except BaseException:
            status = 1
        made = calls()
        _LIBC.faulty_disk_arm(ctypes.c_char(b"\0"), 0, ctypes.c_long(0))
        os.write(writing, str(made).encode())
        os._exit(status)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        count = int(pipe.read() or -1)
    return os.waitstatus_to_exitcode(status), count


def state(store: Store) -> tuple:
    """All that a change may change, but for what follows from it."""
    labels = {label: release.version for label, release in store.labels("digits").items()}
    current = store.current("digits")
    return current and current.version, [r.version for r in store.releases("digits")], labels


def main(template: str, source: str, work: str, change: str, fault: str) -> None:
    counts = {"faults": 0, "released": 0, "left as it was": 0}
    before = state(Store(template))
    root = Path(work)
    for at in range(1, 1000):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root, symlinks=True)
        store = Store(root)
        status, made = attempt(root, change, source, fault, at)
        where = f"{change}, {fault} at call {at}"
        assert status in (_DONE, _REFUSED, _RELEASED, -signal.SIGKILL), f"{where}: {status}"
        check_visible(store)
        if status == _DONE and made < at:
            break  # it needs no more calls than that
        counts["faults"] += 1
        after = state(store)
        if status == _REFUSED and change in ("publish", "repair"):
            assert after == before, f"{where}: {before} became {after}, with an error"
        counts["left as it was"] += after == before
        if status == _RELEASED:
            counts["released"] += 1
            assert after != before, where
        store.repair()
        assert state(store) == after, f"{where}: a repair made {state(store)} of {after}"
        check_visible(store)
        left = [path.name for path in root.iterdir() if path.name.startswith((".tmp", ".stag"))]
        assert not left, f"{where}: {left}"
        text = (root / "models.config").read_text()
        assert re.search(rf"\bversions: {after[0]}\b", text) or not after[0], f"{where}: {text}"
        last = max([0, *before[1], *after[1]])
        # A number that was announced is not given out again.
        assert store.publish("digits", source).version in (last + 1, last + 2), where
    print(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
