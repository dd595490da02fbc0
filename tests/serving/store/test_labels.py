"""Labelled versions, in the store and in what other servers read."""

import json
import re

from serving.store.history import Event, labels
from tests.helpers.serving_fixtures import contract, seal


def pinned(store) -> tuple[str, str]:
    """What models.config and config.pbtxt say of versions and labels."""
    models = (store.root / "models.config").read_text()
    triton = (store.root / "models/digits/config.pbtxt").read_text()
    found = re.findall(r"versions: \d+|key: .*value: \d+", models)
    return ", ".join(found), re.search(r"versions: \[ (.*) \]", triton).group(1)


def test_labelled_versions_are_served_beside_the_current_one(store, source):
    for _ in range(3):
        store.publish("digits", source)
    store.label("digits", "stable", 1)
    assert pinned(store) == ('versions: 1, versions: 3, key: "stable" value: 1', "1, 3")
    store.label("digits", "canary", 3)
    assert pinned(store)[0].endswith('key: "canary" value: 3, key: "stable" value: 1')
    store.unlabel("digits", "stable")
    assert pinned(store) == ('versions: 3, key: "canary" value: 3', "3")


def test_a_label_above_the_current_version_does_not_make_servers_answer_with_it(store, source):
    """They answer a request that names no version with the highest one that they have."""
    store.publish("digits", source)
    store.publish("digits", source)
    store.label("digits", "bad", 2)
    store.rollback("digits")
    assert pinned(store) == ("versions: 1", "1")


def test_a_labelled_version_with_other_classes_has_no_part_in_tritons_one_list(store, source):
    store.publish("digits", source)
    store.label("digits", "before", 1)
    (source / "contract.json").write_text(json.dumps(contract(labels=["no", "yes"])))
    store.publish("digits", seal(source))
    assert pinned(store) == ('versions: 1, versions: 2, key: "before" value: 1', "2")


def test_a_labelled_version_without_saved_model_is_none_of_tensorflow_servings(store, source):
    store.publish("digits", seal(source, formats=["onnx"]))
    store.label("digits", "before", 1)
    store.publish("digits", seal(source, formats=["onnx", "saved_model"]))
    assert pinned(store) == ("versions: 2", "1, 2")


def test_a_labelled_version_that_is_damaged_stops_nothing(store, source):
    store.publish("digits", source)
    store.label("digits", "before", 1)
    (store.root / "models/digits/1/contract.json").write_text("{")
    store.publish("digits", source)
    assert pinned(store)[1] == "2"


def test_a_label_that_nothing_had_is_taken_away_in_vain():
    assert labels([Event.now("unlabel", 1, "stable")], {1}) == {}
