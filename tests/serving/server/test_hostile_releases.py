"""Damaged and hostile releases, put into a store behind its back: each is refused in a sentence,
nothing outside of it is touched, and the version that served before serves on."""

import asyncio
import json
import os
import re
import shutil
import threading
import time

import pytest

from serving.inference.model import Model
from serving.server.dataplane import Dataplane
from serving.server.limits import Limits
from serving.server.metrics import Metrics
from serving.server.swap import Follower
from serving.store.history import Event, write
from serving.store.release import Release, StoreError
from serving.store.store import Store
from tests.helpers.hostile_releases import CASES, FILES, make, outside, state
from tests.helpers.hostile_requests import GOOD
from tests.helpers.raw_http import Client
from tests.helpers.serving_fixtures import digits_release, run, seal, server
from tests.helpers.watching import watched

NAMES = [case.name for case in CASES]
MEMORY = 400 * 2**20
"""What loading may take more than a good release takes: a JSON file of 16 MiB, at its worst."""


def path_of(directory, name: str):
    """Where in the store of `directory` the release of a case lies: behind a good version 1."""
    return directory / "out/serving/models/digits" / str(NAMES.index(name) + 2)


def put(store: Store, version: int, directory, name: str) -> None:
    """The case as the current version, as a publish would, without any check."""
    release = store.root / "models/digits" / str(version)
    make(CASES[NAMES.index(name)], directory / "good", release, directory / "outside")
    history = store.root / "models/digits/history.jsonl"
    history.write_text(history.read_text() + write([Event.now("publish", version)]))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """`out/serving` with version 1, which is good, and those of all cases; `good`; `outside`."""
    assert len(set(NAMES)) == len(NAMES)
    directory = tmp_path_factory.mktemp("hostile")
    good, outer = digits_release(directory / "good"), outside(directory / "outside")
    Store(directory / "out/serving").publish("digits", good)
    for case in CASES:
        make(case, good, path_of(directory, case.name), outer)
    return directory


@pytest.fixture(scope="module")
def loaded(directory):
    """By name of the case what became of it, and of "good" what became of version 1."""
    outer = directory / "outside"
    before = state(directory)
    paths = [path_of(directory, name) for name in NAMES]
    first = paths[0].with_name("1")
    with watched(outer) as seen, watched(outer / "release") as deeper:
        done = run("-m", "tests.helpers.load_releases", first, *paths, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not seen and not deeper
    assert state(directory) == before
    return dict(zip(["good", *NAMES], map(json.loads, done.stdout.splitlines())))


def test_the_watch_sees_what_is_opened(directory):
    with watched(directory / "outside") as seen:
        (directory / "outside/weights.bin").read_bytes()
    assert "weights.bin" in seen


def test_the_release_that_the_others_are_made_of_is_served(loaded):
    assert loaded["good"].get("served")
    assert not loaded["good"]["elsewhere"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_in_one_sentence_that_names_the_file(loaded, directory, case):
    result = loaded[case.name]
    message = result.get("refused")
    assert message, result
    assert re.search(case.message, message), message
    path = path_of(directory, case.name)
    assert str(path) in message or f"version {path.name} of digits" in message
    assert "\n" not in message and len(message) < 2000
    assert not result["elsewhere"]
    assert result["seconds"] < 10
    assert result["memory"] - loaded["good"]["memory"] < MEMORY


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_the_store_takes_no_release_whose_files_are_not_those_of_its_manifest(
    directory, tmp_path, case
):
    if case.name in ("a linked version", "another model's", "a model of lists"):
        pytest.skip("what is published may be named by a link; the name is tested elsewhere")
    with watched(directory / "outside") as seen, pytest.raises(StoreError):
        Store(tmp_path / "serving").publish("digits", path_of(directory, case.name))
    assert not seen
    assert not list((tmp_path / "serving").glob("models/digits/[0-9]*"))


def test_a_hard_link_is_a_file_like_any_other(directory, tmp_path):
    """Backups make them (`cp -l`, `rsync --link-dest`); what it holds is what the manifest says."""
    shutil.copytree(directory / "good", tmp_path / "1")
    os.link(tmp_path / "1/model.onnx", tmp_path / "other name")
    assert Model(Release("digits", 1, tmp_path / "1"), threads=1).version == "1"


def test_a_copy_of_another_version_is_that_release_again(directory, tmp_path):
    """A manifest holds no number of a version: the same files are as good under another."""
    shutil.copytree(directory / "good", tmp_path / "7")
    assert Model(Release("digits", 7, tmp_path / "7"), threads=1).version == "7"


def test_labels_that_have_no_utf_8_form_are_served_in_one_that_has(directory, tmp_path):
    release = shutil.copytree(directory / "good", tmp_path / "1")
    contract = json.loads((release / "contract.json").read_text())
    contract["labels"][0] = "\udcff\n"
    (release / "contract.json").write_text(json.dumps(contract))
    (release / "labels.txt").write_text("\\udcff\\n\n1\n2\n3\n4\n5\n6\n7\n8\n9\n")
    assert Model(Release("digits", 1, seal(release)), threads=1).labels[0] == "\\udcff\n"


def test_the_version_before_serves_on_whatever_becomes_current(directory, tmp_path, capsys):
    names = ["weights above", "a pipe", "a linked version", "manifest is a pipe", "deep contract",
             "fails on a batch", "pickled images", "sides of 1e9"]  # fmt: skip
    store = Store(tmp_path / "serving")
    store.publish("digits", directory / "good")

    async def follow() -> None:
        dataplane = Dataplane(Metrics(), Limits(), workers=1)
        follower = Follower(store, [], dataplane)
        try:
            await follower.start()
            for number, name in enumerate(names, 2):
                put(store, number, directory, name)
                await follower._update()
                assert dataplane.find("digits").model.version == "1"
            store.publish("digits", directory / "good")
            await follower._update()
            assert dataplane.find("digits").model.version == str(len(names) + 2)
        finally:
            follower.close()
            dataplane.close()

    asyncio.run(follow())
    failed = [line for line in capsys.readouterr().err.splitlines() if "load_failed" in line]
    assert len(failed) == len(names)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, text: path.write_text(text + "{"),
        lambda path, text: path.write_text(text + "[" * 100_000),
        lambda path, text: path.write_bytes(b"\xff" + text.encode()),
        lambda path, text: path.write_text(text.replace('"publish"', "[1]")),
        lambda path, text: path.write_text(text.replace('"version": 1', '"version": 1e999')),
        lambda path, text: path.write_text(text.replace("{", '{"label": [], ')),
        lambda path, text: path.write_text(re.sub('"time": "[^"]*"', '"time": "soon"', text)),
        lambda path, text: os.truncate(path, 2**30),
        lambda path, text: (path.unlink(), os.mkfifo(path)),
        lambda path, text: (path.unlink(), path.mkdir()),
        lambda path, text: (path.rename(path.with_name("h")), path.symlink_to("h")),
    ],
    ids=["cut", "deep", "bytes", "event", "number", "label", "time", "gigabyte", "pipe", "folder",
         "link"],
)  # fmt: skip
def test_a_damaged_history_is_an_error_that_names_it(directory, tmp_path, damage):
    store = Store(tmp_path / "serving")
    store.publish("digits", directory / "good")
    path = store.root / "models/digits/history.jsonl"
    damage(path, path.read_text())
    with pytest.raises(StoreError, match=r"history\.jsonl") as caught:
        store.models()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_current_link_that_leads_out_is_not_followed(directory, tmp_path):
    """It is for people: what is current is what the history says."""
    store = Store(tmp_path / "serving")
    store.publish("digits", directory / "good")
    link = store.root / "models/digits/current"
    link.unlink()
    link.symlink_to(directory / "outside/release")
    with watched(directory / "outside/release") as seen:
        assert Model(store.current("digits"), threads=1).version == "1"
    assert not seen


def test_a_server_answers_on_while_hostile_versions_become_current(directory, tmp_path):
    store = Store(tmp_path / "out/serving")
    store.publish("digits", directory / "good")
    with server(tmp_path / "out", "--threads", "1") as (base, process, _):
        port = int(base.rpartition(":")[2])
        answers = {_answer(port)}
        lines: list[str] = []
        reading = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
        reading.start()
        for number, name in enumerate(["weights beside", "unpacks to more", "cut"], 2):
            put(store, number, directory, name)
            end = time.monotonic() + 15
            while not _logged(lines, "load_failed", number) and time.monotonic() < end:
                answers.add(_answer(port))
                time.sleep(0.02)
            assert _logged(lines, "load_failed", number), lines
        assert len(answers) == 1
        store.publish("digits", directory / "good")
        end = time.monotonic() + 15
        while not _logged(lines, "serves", 5) and time.monotonic() < end:
            time.sleep(0.05)
        assert b'"model_version":"5"' in _answer(port)


def _answer(port: int) -> bytes:
    with Client(port) as client:
        client.send(GOOD)
        answer = client.answer()
    assert answer is not None and answer.status == 200
    return answer.body


def _logged(lines: list[str], event: str, version: int) -> bool:
    entries = map(json.loads, list(lines))
    return any((e["event"], str(e.get("version"))) == (event, str(version)) for e in entries)
