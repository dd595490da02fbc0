"""`python -m tests.helpers.load_releases DIRECTORY...`: loads each as a server would.

A JSON object a line: what became of it, how long it took, the most memory that the process has had,
and what was opened elsewhere than in the directory, by Python's own account.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

from serving.inference.errors import NotServable
from serving.inference.model import Model
from serving.store.release import Release

_SECONDS = 20


def main(directories: list[str]) -> None:
    opened: list[str] = []

    def audit(event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            opened.append(os.path.abspath(os.fsdecode(arguments[0])))

    _load(Path(directories[0]))  # what is imported only then
    sys.addaudithook(audit)
    for directory in directories:
        opened.clear()
        started = time.monotonic()
        signal.alarm(_SECONDS)  # ends the process
        result = _load(Path(directory))
        signal.alarm(0)
        result["seconds"] = time.monotonic() - started
        result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        inside = os.path.join(os.path.abspath(directory), "")
        result["elsewhere"] = [path for path in opened if not path.startswith(inside)]
        print(json.dumps(result), flush=True)


def _load(path: Path) -> dict:
    try:
        Model(Release("digits", int(path.name), path), threads=1)
    except NotServable as error:
        return {"refused": str(error)}
    except BaseException as error:  # noqa: BLE001 - for the test to complain about
        return {"raised": repr(error)}
    return {"served": True}


if __name__ == "__main__":
    main(sys.argv[1:])
