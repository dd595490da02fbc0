"""A release to publish, and a store to publish it to."""

import pytest

from serving.store.store import Store
from tests.helpers.serving_fixtures import bundle


@pytest.fixture
def source(tmp_path):
    return bundle(tmp_path / "source")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "out/serving")
