"""The release store beside a model of it in ten lines, through any sequence of changes."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from serving.store.history import read
from serving.store.release import StoreError
from serving.store.store import Store
from tests.helpers.serving_fixtures import bundle, seal
from tests.helpers.visible_store import check_visible


class Died(BaseException):
    """In place of a kill, which would end the test, too."""


class StoreMachine(RuleBasedStateMachine):
    """What the store is to do, in lists and sets; it is opened anew for every change."""

    def __init__(self):
        super().__init__()
        self.work = Path(tempfile.mkdtemp())
        self.root = self.work / "serving"
        self.present: dict[int, str] = {}  # the lineage of each version
        self.line: list[int] = []
        self.left: dict[int, str] = {}  # rolled back from
        self.labels: dict[str, int] = {}
        self.currents: list[int] = []
        self.numbers = {0}

    @property
    def store(self) -> Store:
        return Store(self.root)

    def teardown(self):
        shutil.rmtree(self.work)

    @initialize()
    def a_first_release(self):
        self.source = bundle(self.work / "source")
        self.publish("torch-0")

    @rule(lineage=st.sampled_from(["torch-1", "torch-2", "keras-3"]))
    def publish(self, lineage):
        release = self.store.publish("digits", seal(self.source, lineage=lineage))
        assert release.version > max(self.numbers)
        self.numbers.add(release.version)
        self.present[release.version] = lineage
        self.line.append(release.version)
        self.currents.append(release.version)

    @rule(data=st.data())
    def promote(self, data):
        version = data.draw(st.sampled_from(sorted(self.present)))
        self.store.promote("digits", version)
        if version == self.line[-1]:
            return
        self._current(version)
        self.line = [v for v in self.line if v != version] + [version]

    @precondition(lambda self: len(self.line) > 1)
    @rule()
    def rollback(self):
        version = self.line[-2]
        assert self.store.rollback("digits").version == version
        self.left[self.line[-1]] = self.present[self.line[-1]]
        self._current(version)
        del self.line[-1]

    @precondition(lambda self: len(self.line) == 1)
    @rule()
    def rollback_from_the_first(self):
        with contextlib.suppress(StoreError):
            self.store.rollback("digits")
            raise AssertionError("there is nothing before it")

    @rule(data=st.data())
    def rollback_to(self, data):
        version = data.draw(st.sampled_from(sorted(self.present)))
        self.store.rollback("digits", version)
        if version == self.line[-1]:
            return
        if version in self.line:
            position = self.line.index(version)
            self.left |= {v: self.present[v] for v in self.line[position + 1 :]}
            del self.line[position:]
        self._current(version)
        self.line.append(version)

    def _current(self, version):
        self.left.pop(version, None)
        self.currents.append(version)

    @rule(data=st.data(), label=st.sampled_from(["stable", "canary"]))
    def label(self, data, label):
        version = data.draw(st.sampled_from(sorted(self.present)))
        self.store.label("digits", label, version)
        self.labels[label] = version

    @precondition(lambda self: self.labels)
    @rule(data=st.data())
    def unlabel(self, data):
        label = data.draw(st.sampled_from(sorted(self.labels)))
        self.store.unlabel("digits", label)
        del self.labels[label]

    @rule(keep=st.integers(1, 4), data=st.data())
    def prune(self, keep, data):
        spare = data.draw(st.sets(st.sampled_from(sorted(self.present)), max_size=1))
        kept = {*sorted(self.present)[-keep:], *self.line[-2:], *self.labels.values(), *spare}
        gone = self.store.prune("digits", keep, spare)
        assert gone == sorted(set(self.present) - kept)
        for version in gone:
            del self.present[version]
        self.line = [v for v in self.line if v in self.present]

    @rule(step=st.integers(1, 25), name=st.sampled_from(["fsync", "rename", "replace", "mkdir"]))
    def die_while_publishing(self, step, name):
        """The version may be there or not; nothing in between."""
        count = 0
        real = getattr(os, name)

        def dying(*arguments, **named):
            nonlocal count
            count += 1
            if count >= step:  # and nothing works any more
                raise Died
            return real(*arguments, **named)

        setattr(os, name, dying)
        try:
            self.store.publish("digits", seal(self.source, lineage="torch-9"))
        except Died:
            pass
        finally:
            setattr(os, name, real)
        found = {release.version for release in self.store.releases("digits")}
        for version in found - set(self.present):
            assert version > max(self.numbers)
            self.present[version] = "torch-9"
            self.line.append(version)
            self.currents.append(version)
        assert found == set(self.present)
        events = read(self.root / "models/digits/history.jsonl")
        self.numbers |= {event.version for event in events}
        self.store.repair()

    @invariant()
    def it_is_as_the_model_says(self):
        store = self.store
        if not self.present:
            return
        check_visible(store)
        assert {
            r.version: r.manifest()["lineage"] for r in store.releases("digits")
        } == self.present
        assert [release.version for release in store.line("digits")] == self.line
        assert store.current("digits").version == self.line[-1]
        assert store.rolled_back("digits") == dict(sorted(self.left.items()))
        assert {k: r.version for k, r in store.labels("digits").items()} == self.labels
        assert [event.version for event in store.history("digits")] == self.currents
        assert os.readlink(self.root / "models/digits/current") == str(self.line[-1])
        assert not list(self.root.glob(".staging-*")) + list(self.root.glob(".tmp-*"))


@pytest.mark.parametrize(
    "examples", [12, pytest.param(400, marks=pytest.mark.full)], ids=["12", "400"]
)
def test_the_store_does_what_its_model_does(examples):
    quick = settings(
        max_examples=examples,
        stateful_step_count=15,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(StoreMachine, settings=quick)
