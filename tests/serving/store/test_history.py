"""What happened to a store: every version and moment, also of what is gone."""

import datetime
import json
import re
import shutil
import time

import pytest

from serving.store.release import StoreError
from tests.helpers.serving_fixtures import contract, seal

LINEAGE = contract()["lineage"]


def test_the_history_says_what_happened_and_when(store, source):
    for _ in range(2):
        store.publish("digits", source)
    store.rollback("digits")
    lines = (store.root / "models/digits/history.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [(event["event"], event["version"]) for event in events] == [
        ("publish", 1), ("publish", 2), ("rollback", 1),
    ]  # fmt: skip
    for event in events:
        time = datetime.datetime.fromisoformat(event["time"])
        assert abs(datetime.datetime.now(datetime.UTC) - time) < datetime.timedelta(hours=1)


def history_of(store) -> list[dict]:
    lines = (store.root / "models/digits/history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_an_event_says_what_it_is_about_and_nothing_else(store, source):
    store.publish("digits", source)
    store.label("digits", "stable", 1)
    store.label("digits", "stable", 1)  # it is already
    store.unlabel("digits", "stable")
    assert [{k: v for k, v in event.items() if k != "time"} for event in history_of(store)] == [
        {"event": "publish", "version": 1, "lineage": LINEAGE},
        {"event": "label", "version": 1, "label": "stable"},
        {"event": "unlabel", "version": 1, "label": "stable"},
    ]


def test_a_history_without_lineages_takes_them_from_the_releases_before_they_go(store, source):
    """As older stores have it."""
    for number in range(1, 5):
        store.publish("digits", seal(source, lineage=f"torch-{number}"))
    store.rollback("digits", 1)
    path = store.root / "models/digits/history.jsonl"
    events = [{k: v for k, v in event.items() if k != "lineage"} for event in history_of(store)]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert store.rolled_back("digits") == {2: "torch-2", 3: "torch-3", 4: "torch-4"}
    (store.root / "models/digits/3/manifest.json").write_text("{")
    manifest = store.root / "models/digits/4/manifest.json"
    manifest.write_text(json.dumps({"files": {}}))
    known = {2: "torch-2", 3: "", 4: ""}  # what nothing says is nobody's
    assert store.rolled_back("digits") == known
    store.publish("digits", seal(source, lineage="torch-5"))
    store.publish("digits", seal(source, lineage="torch-6"))
    assert store.prune("digits", 1) == [1, 2, 3, 4]
    assert store.rolled_back("digits") == known
    assert history_of(store)[-3]["lineage"] == "torch-2"


def test_the_history_remembers_what_was_removed(store, source):
    for _ in range(4):
        store.publish("digits", source)
    store.rollback("digits", 2)
    store.publish("digits", source)
    before = [(event.event, event.version) for event in store.history("digits")]
    assert store.prune("digits", 1) == [1, 3, 4]
    assert [(event.event, event.version) for event in store.history("digits")] == before
    assert [release.version for release in store.line("digits")] == [2, 5]
    assert store.rolled_back("digits") == {3: LINEAGE, 4: LINEAGE}
    shutil.rmtree(store.root / "models/digits/2")  # by hand: nobody knows that it was there
    assert [event.version for event in store.history("digits")] == [1, 3, 4, 5]


def test_which_version_was_current_at_a_moment(store, source):
    for _ in range(3):
        store.publish("digits", source)
        time.sleep(0.002)  # a moment is a millisecond
    moments = [event.moment for event in store.history("digits")]
    assert moments == sorted(moments)
    just = datetime.timedelta(microseconds=1)
    assert store.current_at("digits", moments[0] - just) is None
    for version, moment in enumerate(moments, 1):
        assert store.current_at("digits", moment).version == version
    assert store.current_at("digits", moments[2] - just).version == 2
    assert store.current_at("digits", moments[2] + just).version == 3


def test_a_damaged_history_names_its_line(store, source):
    store.publish("digits", source)
    with (store.root / "models/digits/history.jsonl").open("a") as file:
        file.write("[]\n")
    with pytest.raises(StoreError, match="line 2, is damaged"):
        store.current("digits")


def test_a_history_that_is_no_text_is_refused(store, source):
    store.publish("digits", source)
    path = store.root / "models/digits/history.jsonl"
    path.write_bytes(b"\xff")
    with pytest.raises(StoreError, match=f"^{re.escape(str(path))} cannot be read: 'utf-8'"):
        store.current("digits")


def test_a_version_that_a_person_wrote_as_a_text_is_a_number(store, source):
    store.publish("digits", source)
    history = store.root / "models/digits/history.jsonl"
    history.write_text(history.read_text().replace('"version": 1', '"version": "1"'))
    assert store.current("digits").version == 1 and store.publish("digits", source).version == 2
