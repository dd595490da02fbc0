"""Hostile files through the folder source and `examine`, in a process of their own."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from components.base.process import ROOT
from components.sources.layout import readable
from tests.helpers.hostile import DECODED, write_corpus

_EXAMINE = """
import json, os, sys, time
from pathlib import Path
from components.data.examine import Example, examine
from components.sources.folder_source import FolderSource
from components.sources.config import DataConfig

def results(folder):
    config = DataConfig(source=f"folder:{folder}")
    source = FolderSource(folder)
    for chunk in source.chunks():
        images = source.read(chunk, int(config.max_file_mib * 2**20))
        while True:
            start = time.process_time()
            raw = next(images, None)
            if raw is None:
                break
            result = examine(raw, config)
            outcome = "decoded" if isinstance(result, Example) else result.reason
            yield raw.name, outcome, time.process_time() - start

def mebibytes(field):
    # Not getrusage, whose peak is inherited from the process that started this one.
    (line,) = [line for line in open("/proc/self/status") if line.startswith(field)]
    return int(line.split()[1]) / 1024

opened = []
for _ in results(sys.argv[1]):
    pass  # libraries are loaded, pools are filled
before = mebibytes("VmRSS")
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
found = list(results(sys.argv[2]))
growth = mebibytes("VmHWM") - before
paths = [os.fsencode(path).hex() for path in opened if isinstance(path, (str, bytes))]
print(json.dumps({"results": found, "opened": paths, "growth": growth}))
"""


def _snapshot(root: Path) -> dict[bytes, tuple]:
    """Everything below `root`, without following or opening anything but regular files."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif (
                stat.S_ISREG(status.st_mode)
                and status.st_size < 2**30
                and not name.startswith(b"un")
            ):
                content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).digest()
            found[path] = (status.st_mode, status.st_size, status.st_mtime_ns, content)
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """(cases, report of the process that examined them, the root before and after it)."""
    root = tmp_path_factory.mktemp("hostile")
    cases = write_corpus(root / "corpus")
    warm = write_warm_up(root / "warm")
    before = _snapshot(root)
    done = subprocess.run(
        [sys.executable, "-c", _EXAMINE, warm, root / "corpus" / "images"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return cases, json.loads(done.stdout), root, before, _snapshot(root)


def write_warm_up(folder: Path) -> Path:
    """One good file of each type in each of two classes."""
    from tests.helpers.images import encode, tile

    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for format in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
            (folder / label / format).write_bytes(encode(tile(0, 1, 1, 200, 200), format))
    return folder


def test_every_file_is_decoded_or_quarantined_for_the_right_reason(corpus):
    cases, report, *_ = corpus
    expected = {readable(os.fsdecode(case.name)): case.expected for case in cases}
    assert len(expected) == len(cases) >= 150
    assert Counter(expected.values())[DECODED] >= 50
    received = {name: outcome for name, outcome, _ in report["results"]}
    assert len(received) == len(report["results"])
    assert received == expected


def test_no_file_takes_a_second(corpus):
    slow = {name: seconds for name, _, seconds in corpus[1]["results"] if seconds >= 1}
    assert not slow


def test_memory_grows_by_less_than_64_mib(corpus):
    assert 0 < corpus[1]["growth"] < 64


def test_only_regular_files_of_the_folder_are_opened(corpus):
    cases, report, root, *_ = corpus
    images = os.fsencode(root / "corpus" / "images")
    opened = {bytes.fromhex(path) for path in report["opened"]}
    ours = {path for path in opened if path.startswith(os.fsencode(root))}
    assert len(ours) >= 100
    for path in ours:
        assert path.startswith(images + b"/") and stat.S_ISREG(os.lstat(path).st_mode)
    assert not any(path.startswith(b"/dev/") for path in opened)


def test_nothing_is_changed_inside_or_outside_of_the_folder(corpus):
    *_, before, after = corpus
    assert after == before


def test_the_same_seed_gives_the_same_corpus(corpus, tmp_path):
    cases, _, root, before, _ = corpus
    again = tmp_path / "again"
    assert write_corpus(again) == cases
    contents = {k.removeprefix(os.fsencode(root / "corpus")): v for k, v in before.items()}
    for path, (mode, size, _, content) in _snapshot(again).items():
        inner = path.removeprefix(os.fsencode(again))
        if not stat.S_ISLNK(mode):
            assert (mode, size, content) == (*contents[inner][:2], contents[inner][3]), inner
