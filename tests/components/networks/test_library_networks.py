"""Pretrained networks of torchvision and Keras, whose weights come from where the libraries have
them: here from a file in the place of the download."""

import numpy as np
import pytest
import torch

from components.networks import keras_model, torch_model
from components.networks.architectures import architecture_of
from components.networks.custom_network import frameworks_of
from components.networks.network import Network
from serving.contract.image_spec import ImageSpec
from tests.helpers.photographs import photographs

TORCHVISION = "components.networks.torchvision_models:"
KERAS = "components.networks.keras_applications:"


def network(framework: str, reference: str, channels: int = 3) -> Network:
    architecture = architecture_of(reference, 3)
    assert frameworks_of(architecture) == (framework,)
    return Network(framework, architecture, ImageSpec(64, 64, channels), tuple("abc"))


def test_torchvisions_weights_are_under_a_new_last_layer(tmp_path, monkeypatch):
    import torchvision.models

    torch.manual_seed(0)
    published = torchvision.models.resnet18(weights=None)
    torch.save(published.state_dict(), tmp_path / "resnet18.pth")
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    url = (tmp_path / "resnet18.pth").as_uri()
    monkeypatch.setattr(weights, "_value_", torchvision.models._api.Weights(
        url=url, transforms=weights.transforms, meta=weights.meta
    ))  # fmt: skip
    module = torch_model.build(network("torch", TORCHVISION + "resnet18")).eval()
    x = torch.from_numpy(photographs(64)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        # What torchvision's own transforms do behind resizing.
        seen = weights.transforms(crop_size=64, resize_size=64)(x)
        published.fc, dense = torch.nn.Identity(), module[1].fc
        torch.testing.assert_close(module(x.float()), dense(published.eval()(seen)))
    assert dense.out_features == 3


def test_torchvisions_networks_that_cannot_be_had_are_named(tmp_path, monkeypatch):
    import torchvision.models

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    expected = "resnet18 cannot be downloaded .no route to host.: go online once, or put https"
    with pytest.raises(ValueError, match=expected):
        torch_model.build(network("torch", TORCHVISION + "resnet18"))
    with pytest.raises(ValueError, match="torchvision.models has no 'resnet1'"):
        torch_model.build(network("torch", TORCHVISION + "resnet1"))
    with pytest.raises(ValueError, match="set image.channels=3"):
        torch_model.build(network("torch", TORCHVISION + "resnet18", channels=1))


def test_kerass_weights_are_under_a_new_last_layer(tmp_path, monkeypatch):
    import keras
    from keras.src.applications import mobilenet_v2

    shape = (64, 64, 3)
    published = keras.applications.MobileNetV2(
        include_top=False, weights=None, pooling="avg", input_shape=shape
    )
    published.save_weights(tmp_path / "it.weights.h5")
    path = str(tmp_path / "it.weights.h5")
    monkeypatch.setattr(mobilenet_v2.file_utils, "get_file", lambda *_, **__: path)
    model = keras_model.build(network("keras", KERAS + "MobileNetV2"))
    images = photographs(64).astype(np.float32)
    seen = keras.applications.mobilenet_v2.preprocess_input(images.copy())
    expected = model.layers[-1](published(seen, training=False))
    np.testing.assert_allclose(model(images, training=False), expected, atol=1e-5)
    assert expected.shape == (4, 3)


def test_kerass_networks_that_cannot_be_had_are_named(monkeypatch):
    from keras.src.applications import mobilenet_v2

    def offline(*_, **__):
        raise Exception("URL fetch failure on https://storage: None -- no route to host")

    monkeypatch.setattr(mobilenet_v2.file_utils, "get_file", offline)
    with pytest.raises(ValueError, match="MobileNetV2 cannot be downloaded .*go online once"):
        keras_model.build(network("keras", KERAS + "MobileNetV2"))
    with pytest.raises(ValueError, match="VGG16 is not offered, expected one that begins"):
        keras_model.build(network("keras", KERAS + "VGG16"))
    with pytest.raises(ValueError, match="keras.applications has no 'MobileNetV9'"):
        keras_model.build(network("keras", KERAS + "MobileNetV9"))


def test_densenets_rescaling_is_kerass_own():
    import keras

    from components.networks.keras_applications import _rescaling

    images = photographs(64).astype(np.float32)
    scale, offset = _rescaling("DenseNet121")
    expected = keras.applications.densenet.preprocess_input(images.copy())
    np.testing.assert_allclose(images * scale + offset, expected, atol=1e-5)
