"""The release store on a disk that fails: at every call, in every way, nothing is half done."""

import itertools
import json
import os
import subprocess
import sys

import pytest

from tests.helpers.faulty_disk import CHANGES, FAULTS, build
from tests.helpers.serving_fixtures import REPOSITORY

QUICK = {("publish", "killed"), ("publish", "disk full"), ("prune", "killed")}
"""The others differ little."""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    try:
        return build(tmp_path_factory.mktemp("library"))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no C compiler makes the library that lets a disk fail: {error}")


def preloaded(library, module: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=os.environ | {"LD_PRELOAD": str(library)},
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param(*case, marks=[] if case in QUICK else pytest.mark.full, id=" ".join(case))
        for case in itertools.product(["first publish", *CHANGES], FAULTS)
    ],
)
def test_whatever_fails_at_whichever_call_the_store_is_whole_and_usable(
    store, source, library, tmp_path, change, fault
):
    store.root.mkdir(parents=True)
    for _ in range(0 if change == "first publish" else 3):
        store.publish("digits", source)
    if change == "repair":
        (store.root / "models.config").unlink()
        (store.root / ".tmp-dead").write_text("half")
    arguments = (store.root, source, tmp_path / "work", change.split()[-1], fault)
    counts = json.loads(preloaded(library, "tests.helpers.faulty_disk", *arguments))
    assert counts["faults"] > (30 if "publish" in change else 5)
    assert 0 < counts["left as it was"]


@pytest.mark.parametrize(
    "pushes", [60, pytest.param(1000, marks=pytest.mark.full)], ids=["60", "1000"]
)
def test_who_looks_all_the_time_never_sees_anything_half_done(
    store, source, library, tmp_path, pushes
):
    store.publish("digits", source)
    stop = tmp_path / "stop"
    looking = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.visible_store", store.root, stop],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        printed = preloaded(library, "tests.helpers.many_pushes", store.root, source, pushes)
    finally:
        stop.touch()
        output, _ = looking.communicate(timeout=60)
    counts = json.loads(printed)
    looks, verified, *wrong = output.splitlines()
    assert wrong == []
    assert int(looks) > pushes / 10 and int(verified) > pushes / 5
    assert counts["killed"] > pushes / 10 and counts["failed"] > pushes / 10
    assert counts["done"] > pushes / 10
    store.prune("digits", 5)
    assert len(store.releases("digits")) <= 8
    assert sorted(path.name for path in store.root.iterdir()) == [
        ".lock", "batching.config", "models", "models.config",
    ]  # fmt: skip
