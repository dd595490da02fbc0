"""The release store under fire: what is killed is invisible, publishers do not disturb others."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

from tests.helpers.serving_fixtures import REPOSITORY, seal
from tests.helpers.visible_store import check_visible


def test_publishes_killed_at_random_moments_leave_nothing_half_done(store, source):
    """The same without a hook in the victim: kills also fall inside system calls."""
    (source / "saved_model.pb").write_bytes(os.urandom(1_000_000))
    seal(source)
    durations = []
    for _ in range(3):  # the first may wait for a disk
        started = time.perf_counter()
        store.publish("digits", source)
        durations.append(time.perf_counter() - started)
    duration = min(durations)
    fork, generator = multiprocessing.get_context("fork"), random.Random(0)
    killed = 0
    for _ in range(25):
        process = fork.Process(target=store.publish, args=("digits", source))
        process.start()
        process.join(generator.uniform(0, 1.5 * duration))
        process.kill()
        process.join(30)
        killed += process.exitcode == -signal.SIGKILL
        check_visible(store)
    assert killed >= 5
    last = max(release.version for release in store.releases("digits"))
    assert store.publish("digits", source).version > last
    assert not list(store.root.glob(".staging-*")) + list(store.root.glob(".tmp-*"))


def test_processes_publishing_at_once_all_get_their_own_version(store, source, tmp_path):
    script = (
        "import sys; from serving.store.store import Store\n"
        "for _ in range(4): print(Store(sys.argv[1]).publish('digits', sys.argv[2]).version)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, store.root, source],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(5)
    ]  # fmt: skip
    versions = []
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        versions += map(int, output.split())
    assert sorted(versions) == list(range(1, 21))
    for release in store.releases("digits"):
        release.verify()
    assert store.current("digits").version == 20
    check_visible(store)
    assert not list(store.root.glob(".staging-*"))


def test_a_live_publisher_is_not_taken_for_a_leftover(store, source):
    with store._staging() as staging:
        (staging / "half").write_text("in progress")
        assert store.publish("digits", source).version == 1
        assert (staging / "half").exists()
    assert not staging.exists()
