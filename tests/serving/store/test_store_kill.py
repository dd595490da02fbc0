"""The release store under fire: what is killed is invisible, publishers do not disturb others."""

import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from serving.store.store import Store
from tests.helpers.serving_fixtures import REPOSITORY, bundle, seal

PROTECTED = re.compile(r"[1-9][0-9]*|current|history\.jsonl|config\.pbtxt")


@pytest.fixture
def source(tmp_path):
    return bundle(tmp_path / "source")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "out/serving")


def check_visible(store: Store) -> None:
    """Nothing that a server or a person can see is half done."""
    pinned = {}
    config = store.root / "models.config"
    if config.exists():
        text = config.read_text()
        assert text.startswith("model_config_list {") and text.endswith("}\n")
        for name, version in re.findall(r'name: "(\w+)".*?versions: (\d+)', text, re.DOTALL):
            pinned[name] = int(version)
    if not (store.root / "models").exists():
        return
    for directory in (store.root / "models").iterdir():
        names = os.listdir(directory)
        assert all(PROTECTED.fullmatch(name) for name in names), names
        for release in store.releases(directory.name):
            release.verify()
        current = store.current(directory.name)
        if (directory / "current").is_symlink():
            assert (directory / "current/manifest.json").exists()
            assert current is not None
        if directory.name in pinned:
            assert pinned[directory.name] in {r.version for r in store.releases(directory.name)}


def _publish_and_die(root, source, deadly_call: int) -> None:
    """Publishes; is killed just before its n-th call that touches the file system."""
    touching = {
        "mkdir",
        "rename",
        "replace",
        "symlink",
        "unlink",
        "rmdir",
        "fsync",
        "sendfile",
    }
    calls = 0

    def watch(frame, event, argument):
        nonlocal calls
        if event == "c_call" and argument.__name__ in touching:
            calls += 1
            if calls == deadly_call:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    Store(root).publish("digits", source)
    sys.setprofile(None)
    os._exit(0)


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_publish_killed_before_any_file_system_call_leaves_nothing_half_done(
    store, source, earlier
):
    fork = multiprocessing.get_context("fork")
    for _ in range(earlier):
        store.publish("digits", source)
    kills = 0
    for deadly_call in range(1, 1000):
        before = store.current("digits")
        process = fork.Process(target=_publish_and_die, args=(store.root, source, deadly_call))
        process.start()
        process.join(30)
        check_visible(store)
        after = store.current("digits")
        assert after == before or after.version > (before.version if before else 0)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        if not earlier and after:  # so that every kill meets a store without a release
            shutil.rmtree(store.root)
    assert kills > 30
    announced = store.publish("digits", source)
    assert announced.version == max(r.version for r in store.releases("digits"))
    check_visible(store)
    assert not list(store.root.glob(".staging-*")) + list(store.root.glob(".tmp-*"))


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
