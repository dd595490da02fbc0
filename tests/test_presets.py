import pytest
from PIL import Image

from components.architectures import ARCHITECTURES, parameter_count
from components.sources import DataRefused
from pipeline import presets
from pipeline.config import ConfigError, RunConfig
from tests.images import write_class_folders


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_builds_and_its_network_fits_its_images(name):
    config = presets.load(name, {})
    assert isinstance(config, RunConfig) and config.name == name
    image = config.image
    architecture = ARCHITECTURES[config.model.architecture](10)
    assert parameter_count(architecture, (image.height, image.width, image.channels)) > 0
    assert f"python -m pipeline run {name}" in presets.PRESETS[name].__doc__


def test_cifar10_is_the_tutorials_network_of_158506_parameters():
    assert parameter_count(ARCHITECTURES["cifar10"](10), (32, 32, 3)) == 158_506


def test_a_folder_gives_size_channels_network_and_a_gate_above_the_largest_class(tmp_path):
    folder = write_class_folders(tmp_path / "My photos!", per_class=12)
    config = presets.load(f"folder:{folder}", {})
    assert config.name == "My-photos"
    assert (config.image.height, config.image.width, config.image.channels) == (24, 24, 3)
    assert config.model.architecture == "mnist"
    assert config.gates.min_accuracy == pytest.approx(1 / 3 + 0.1 * 2 / 3, abs=1e-4)


def test_a_folder_of_large_grey_images_is_scaled_down_and_stays_grey(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (640, 480)).save(tmp_path / name / "1.png")
    config = presets.load(f"folder:{tmp_path}", {})
    assert (config.image.height, config.image.width, config.image.channels) == (96, 96, 1)
    assert config.model.architecture == "cifar10"


def test_unknown_and_absent_sources_are_named_with_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'cifar10'"):
        presets.load("cifar", {})
    with pytest.raises(ConfigError, match="does not exist"):
        presets.load(f"folder:{tmp_path / 'absent'}", {})
    (tmp_path / "one").mkdir()
    with pytest.raises(DataRefused, match="No images"):
        presets.load(f"folder:{tmp_path}", {})
    Image.new("L", (8, 8)).save(tmp_path / "one" / "1.png")
    with pytest.raises(DataRefused, match="Only one class"):
        presets.load(f"folder:{tmp_path}", {})
