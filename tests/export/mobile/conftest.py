"""Bundles of two small releases, which tests alter in copies of their own."""

import shutil
from pathlib import Path

import pytest

from export.mobile.__main__ import main
from tests.helpers.mobile_releases import linear_rgb_release
from tests.helpers.serving_fixtures import digits_release

RELEASES = {"digits": digits_release, "linear": linear_rgb_release}


@pytest.fixture(scope="package")
def releases(tmp_path_factory) -> dict[str, Path]:
    """Release directories by model: digits (grey, square) and linear (RGB, 12 x 20, margins)."""
    root = tmp_path_factory.mktemp("releases")
    return {name: make(root / name / "3") for name, make in RELEASES.items()}


@pytest.fixture(scope="package")
def bundles(releases, tmp_path_factory) -> dict[str, Path]:
    """Their bundles, which no test may change."""
    root = tmp_path_factory.mktemp("bundles")
    for name, release in releases.items():
        assert main([str(release), str(root / name)]) == 0
    return {name: root / name for name in releases}


@pytest.fixture(scope="package")
def fitted_bundles(bundles, tmp_path_factory) -> dict[str, Path]:
    """Bundles by fit, which no test may change: of `linear`, which crops, and of two like it."""
    root = tmp_path_factory.mktemp("fitted")
    for fit in ("stretch", "pad"):
        release = linear_rgb_release(root / "linear" / fit, fit=fit)
        assert main([str(release), str(root / fit)]) == 0
    return {"crop": bundles["linear"]} | {fit: root / fit for fit in ("stretch", "pad")}


@pytest.fixture(params=list(RELEASES))
def bundle(request, bundles, tmp_path) -> Path:
    """A copy of each bundle in turn, in a folder of its model's name."""
    return Path(shutil.copytree(bundles[request.param], tmp_path / request.param))
