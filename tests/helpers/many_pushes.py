"""Pushes to one store, many of which are killed or meet a disk that fails, at any call.

`python -m tests.helpers.many_pushes ROOT SOURCE COUNT` runs with faulty_disk.c loaded before libc,
and prints a JSON object: how many ended how. Between them old releases are removed, and some are
rolled back.
"""

import json
import random
import signal
import sys
from pathlib import Path

from serving.store.store import Store
from tests.helpers.faulty_disk import CHANGES, FAULTS, attempt

_CALLS = 60
"""More than a publish makes: some run through."""


def _push(store: Store, source: str) -> None:
    store.publish("digits", source)
    store.prune("digits", 5)


def _back(store: Store, _: str) -> None:
    if len(store.line("digits")) > 1:
        store.rollback("digits")


def _name(store: Store, _: str) -> None:
    store.label("digits", "stable", store.releases("digits")[0].version)


def main(root: str, source: str, count: str) -> None:
    chance = random.Random(0)
    CHANGES.update(push=_push, back=_back, name=_name)
    counts = {"done": 0, "failed": 0, "killed": 0}
    for _ in range(int(count)):
        change = chance.choice(["push"] * 8 + ["back", "name"])
        fault = chance.choice(list(FAULTS))
        status, _ = attempt(Path(root), change, source, fault, chance.randint(1, _CALLS))
        assert status != 1, (change, fault)
        kind = "done" if status == 0 else "killed" if status == -signal.SIGKILL else "failed"
        counts[kind] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
