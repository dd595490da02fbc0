"""What fits together, beyond what each slice knows of itself."""

import pytest

from components.base.refusal import ConfigError
from pipeline.configuration.fitting import check_classes, check_searched
from pipeline.configuration.presets import configure


def test_a_search_is_of_a_framework_that_is_trained():
    config = configure("digits", {"train.frameworks": "keras"})
    architecture = check_classes(config, tuple("0123456789"))
    message = "Bad value for tune.framework: 'torch': train.frameworks is keras: expected keras."
    with pytest.raises(ConfigError) as caught:
        check_searched(config, architecture)
    assert str(caught.value) == message
    same = configure("digits", {"train.frameworks": "keras", "tune.framework": "keras"})
    check_searched(same, architecture)
