"""What a push needs: a store, and what a release is to say of its run."""

import pytest

from export.release.push import Facts
from serving.store.store import Store
from tests.helpers.finished_exports import arrays_and_predictions


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "serving")


@pytest.fixture
def facts(tmp_path):
    arrays, _ = arrays_and_predictions(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/schema.pbtxt").write_text("feature {}")
    return Facts("run-1", arrays, tmp_path / "data", [], {"data": {"good": 101}})
