"""`python -m export.check RELEASE`: every artifact of a release against its golden answers.

For wherever a release is to be used, with other processors and other versions of the runtimes.
Takes seconds; what needs a runtime that is not installed is said to be unchecked.
"""

import argparse
import concurrent.futures
import json
import sys
import tempfile
from pathlib import Path

from components.base.console import chatter_to
from components.base.frameworks import IMPORTED
from components.base.process import StepFailed, run_module, warm_processes
from export.verification.replay import ReplayArgs
from serving.contract.release_files import MANIFEST, Format, formats_of
from serving.store.release import StoreError, verify_directory

_SECONDS = 300.0
_AT_ONCE = 2


def main(argv: list[str] | None = None) -> int:
    """Prints one line for each artifact. Exit codes: 0 all that can be opened here agree, 3 one
    does not, 2 the directory is no release, or was altered."""
    parser = argparse.ArgumentParser(
        prog="python -m export.check",
        description="Replay a release's golden inputs against each of its artifacts.",
    )
    parser.add_argument("release", type=Path, help="out/serving/models/NAME/VERSION or .../current")
    release = parser.parse_args(argv).release.resolve()
    try:
        verify_directory(release)
        formats = formats_of(json.loads((release / MANIFEST).read_text()))
    except (StoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryFile() as chatter,
        chatter_to(chatter.fileno()),
        warm_processes({IMPORTED[row.runtime] for row in formats}),
        tempfile.TemporaryDirectory(prefix="darkroom-") as scratch,
        concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        found = list(pool.map(lambda row: check(release, row, Path(scratch)), formats))
    for row, result in zip(formats, found):
        print(_line(row, result))
    return 3 if any(result["state"] == "differs" for result in found) else 0


def check(release: Path, row: Format, scratch: Path) -> dict:
    """What `replay.replay` says of one artifact, from a process of its own."""
    output = scratch / row.name / "found.json"
    args = ReplayArgs(release=release, artifact=row.name, threads=1, output=output)
    try:
        run_module(
            "export.verification.replay",
            args,
            output.parent,
            seconds=_SECONDS,
            threads=1,
            gpu=False,
            imports=IMPORTED[row.runtime],
        )
    except StepFailed as error:
        return {"state": "differs", "max_difference": None, "reason": str(error)}
    return json.loads(output.read_text())


def _line(row: Format, result: dict) -> str:
    difference = result["max_difference"]
    numbers = "" if difference is None else f"largest difference {difference:.1e}"
    if difference is not None:
        numbers += f" on {result['images']} images"
    words = "; ".join(part for part in (numbers, result["reason"]) if part)
    return f"{row.title:<20} {result['state']:<10} {words}"


if __name__ == "__main__":
    raise SystemExit(main())
