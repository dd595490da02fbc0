"""What a source's images, a preset and `key=value` make of a run; what is refused, and how."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from components.base.refusal import ConfigError, DataRefused
from components.sources.open_source import open_source
from pipeline.configuration.configure import configure
from pipeline.configuration.inferred import why
from tests.helpers.images import write_class_folders


def test_a_folder_gives_size_channels_network_and_a_gate_above_the_largest_class(tmp_path):
    folder = write_class_folders(tmp_path / "My photos!", per_class=12)
    config = configure(f"folder:{folder}", {})
    assert config.name == "My-photos"
    assert (config.image.height, config.image.width, config.image.channels) == (24, 24, 3)
    assert config.model.architecture == "cifar10"
    assert config.gates.min_accuracy == pytest.approx(1 / 3 + 0.1 * 2 / 3, abs=1e-4)


def test_a_folder_of_large_grey_images_is_scaled_down_and_stays_grey(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (640, 480)).save(tmp_path / name / "1.png")
    config = configure(f"folder:{tmp_path}", {})
    assert (config.image.height, config.image.width, config.image.channels) == (96, 96, 1)
    assert config.model.architecture == "cifar10"


@pytest.mark.parametrize(
    "pairs, words",
    [
        ({"model.architecture": "resnet"}, "expected one of cifar10, cifar10_fast"),
        ({"image.height": "1"}, "nothing is left of the image"),
        ({"train.loss": "nll"}, "train.loss: 'nll' does not fit .* expected 'cross_entropy'"),
        ({"train.loss": "binary_cross_entropy"}, "logits, one for each class"),
        ({"model.architecture": "smiles_v1"}, "expected 'binary_cross_entropy'"),
        ({"train.progressive_resizing": "0.5"}, "'digits' has other weights for images of 4x4"),
        (
            {"model.architecture": "cifar10", "train.progressive_resizing": "0.3"},
            "'cifar10' does not take images of 2x2 .* expected 1, or a list of layers",
        ),
        (
            {"augment.torch": '[{"kind": "pad_crop", "padding": 8, "border": "reflect"}]'},
            "augment.torch: .* cannot reflect images of 8x8: expected a padding below 8",
        ),
        (
            {"train.progressive_resizing": "0.5", "train.early_stopping": "3"},
            "train.progressive_resizing.* val_loss is that of whole images",
        ),
        (
            {"train.progressive_resizing": "0.5", "train.schedule": "plateau"},
            "train.progressive_resizing.* val_loss is that of whole images",
        ),
    ],
)
def test_a_network_that_does_not_exist_or_fit_is_refused_at_once(pairs, words):
    with pytest.raises(ConfigError, match=words):
        configure("digits", pairs)


def test_unknown_and_absent_sources_are_named_with_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'cifar10'"):
        configure("cifar", {})
    with pytest.raises(ConfigError, match="incomplete: expected folder:PATH, tar:PATH"):
        configure("folder:", {})
    for kind in ("folder", "tar", "zip"):
        with pytest.raises(ConfigError, match="does not exist"):
            configure(f"{kind}:{tmp_path / 'absent'}", {})
    (tmp_path / "one").mkdir()
    with pytest.raises(DataRefused, match="No images"):
        configure(f"folder:{tmp_path}", {})
    Image.new("L", (8, 8)).save(tmp_path / "one" / "1.png")
    with pytest.raises(DataRefused, match="Only one class"):
        configure(f"folder:{tmp_path}", {})


def test_the_smiles_say_how_to_name_an_archive_where_theirs_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("smiles_v1", "smiles_v2", "smiles_v3", "smiles_v4"):
        config = configure(name, {})
        assert config.name == config.model.architecture == name
        assert config.train.loss == "binary_cross_entropy"
        with pytest.raises(ConfigError, match=r"does not exist .* data\.source=tar:PATH"):
            open_source(config.data)


def test_the_folder_above_the_right_one_names_the_right_one(tmp_path):
    folder = write_class_folders(tmp_path / "photos", per_class=2)
    with pytest.raises(DataRefused, match=f"did you mean folder:{folder}"):
        configure(f"folder:{tmp_path}", {})


def test_what_follows_from_the_images_is_named_but_for_what_was_given():
    from pipeline.configuration.inferred import inferred_keys

    keys = inferred_keys("folder:photos", {"train.epochs": "3"})
    assert "train.batch_size" in keys and "train.epochs" not in keys
    assert inferred_keys("mnist", {}) == []


def _arrows(root: Path, classes: tuple[str, str], per_class: int = 40) -> Path:
    """Arrows of many sizes, places and shades; they point where the class says."""
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            ground = int(rng.integers(256))
            image = Image.new("L", (64, 64), ground)
            length, place = rng.uniform(14, 28), rng.uniform(28, 36, 2)
            form = np.array(
                [(-1, 0), (0, -0.6), (0, -0.2), (1, -0.2), (1, 0.2), (0, 0.2), (0, 0.6)]
            )
            form = form * length + place
            shade = (ground + int(rng.integers(90, 166))) % 256
            ImageDraw.Draw(image).polygon([tuple(point) for point in form], fill=shade)
            turn = {"left": 0, "up": 270, "right": 180}[name]
            image.rotate(turn, fillcolor=ground).save(root / name / f"{number}.png")
    return root


def _kinds(config) -> list[list[str]]:
    return [[o.kind for o in policy] for policy in (config.augment.keras, config.augment.torch)]


def test_images_that_are_of_another_class_in_the_mirror_are_not_flipped(tmp_path):
    sideways = _arrows(tmp_path / "sideways", ("left", "right"))
    config = configure(f"folder:{sideways}", {})
    assert _kinds(config) == [["rotate", "zoom", "translate"]] * 2
    told = why(f"folder:{sideways}", config)[-1]
    assert "without flip (of 80 images " in told and "is most often taken for" in told
    asked = configure(f"folder:{sideways}", {"augment.keras": '[{"kind": "flip"}]'})
    assert _kinds(asked)[0] == ["flip"]


def test_images_that_are_the_same_class_in_the_mirror_are_flipped(tmp_path):
    photographs = write_class_folders(tmp_path / "photos", per_class=40)
    config = configure(f"folder:{photographs}", {})
    assert _kinds(config) == [["flip", "rotate", "zoom", "translate"]] * 2
    assert "with flip (of 120 images " in why(f"folder:{photographs}", config)[-1]
    assert why("digits", configure("digits", {})) == []


@pytest.mark.parametrize(
    ("backbone", "architecture"),
    [
        ("efficientnet_lite0", "efficientnet_lite0"),
        ("resnet18", "components.networks.torchvision_models:resnet18"),
        ("EfficientNetV2B0", "components.networks.keras_applications:EfficientNetV2B0"),
    ],
)
def test_a_backbone_is_an_architecture_by_another_name(backbone, architecture):
    given = {"model.backbone": backbone, "image.height": "224", "image.width": "224"}
    given |= {"augment.keras": "[]", "augment.torch": "[]"}
    assert configure("cifar10", given).model.architecture == architecture


def test_a_backbone_and_an_architecture_are_one_too_many():
    given = {"model.backbone": "resnet18", "model.architecture": "cifar10"}
    with pytest.raises(ConfigError, match="leave one of them out"):
        configure("cifar10", given)
