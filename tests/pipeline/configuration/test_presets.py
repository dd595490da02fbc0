"""Every preset builds."""

import pytest

from components.networks.architectures import ARCHITECTURES
from components.networks.description import parameter_count
from pipeline.configuration import presets
from pipeline.configuration.config import RunConfig
from pipeline.configuration.configure import configure


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_builds_and_its_network_fits_its_images(name):
    config = configure(name, {})
    assert isinstance(config, RunConfig) and config.name == name
    image = config.image
    architecture = ARCHITECTURES[config.model.architecture](10)
    assert parameter_count(architecture, (image.height, image.width, image.channels)) > 0
    assert f"python -m pipeline run {name}" in presets.PRESETS[name].__doc__


def test_celeba_is_packed_with_a_margin_that_training_crops_from():
    config = presets.celeba_smile()
    image, data = config.image, config.data
    assert (image.height + image.margin_height, image.width) == (78, 64)
    assert abs(78 / 64 - 218 / 178) < 0.01  # packing keeps the portraits' shape
    assert (data.source, data.label) == ("tfds:celeb_a", "attributes/Smiling")
