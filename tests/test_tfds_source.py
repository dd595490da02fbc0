"""TFDS sets as a source, on the real MNIST and CIFAR-10 where they are at hand."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.sources import open_source
from components.tfds_source import prepare
from pipeline import presets
from pipeline.code import ROOT
from pipeline.config import ConfigError, DataConfig

PREPARED = ROOT.parent / "shared" / "data" / "tfds"
needs_data = pytest.mark.skipif(
    not PREPARED.is_dir(), reason=f"no prepared TFDS sets in {PREPARED}"
)


@needs_data
def test_mnist_gives_its_own_splits_and_the_bytes_as_they_were_stored():
    source = open_source(DataConfig(source="tfds:mnist", dir=str(PREPARED)))
    assert source.labels == tuple("0123456789") and source.splits == {"train", "test"}
    assert source.images == 70_000 and source.image_shape == (28, 28, 1)
    assert sum(chunk["stop"] - chunk["start"] for chunk in source.chunks()) == 70_000
    raws = list(source.read({"split": "test", "start": 9_990, "stop": 10_000}, 10**6))
    assert [raw.name for raw in raws] == [f"mnist/test/{row}" for row in range(9_990, 10_000)]
    assert all(raw.split == "test" and raw.data.startswith(b"\x89PNG") for raw in raws)
    assert np.asarray(Image.open(io.BytesIO(raws[0].data))).shape == (28, 28)


@needs_data
def test_a_chunk_holds_the_same_images_wherever_it_starts():
    source = open_source(DataConfig(source="tfds:cifar10", dir=str(PREPARED)))
    whole = list(source.read({"split": "train", "start": 0, "stop": 40}, 10**6))
    tail = list(source.read({"split": "train", "start": 30, "stop": 40}, 10**6))
    assert whole[30:] == tail
    assert len({raw.data for raw in whole}) == 40


@needs_data
def test_any_prepared_set_can_be_run_with_an_inferred_configuration():
    config = presets.configure("tfds:cifar10", {"data.dir": str(PREPARED)})
    assert config.name == "cifar10" and config.data.dir == str(PREPARED)
    assert (config.image.height, config.image.width, config.image.channels) == (32, 32, 3)
    assert config.gates.min_accuracy == pytest.approx(0.19)


def test_a_download_that_fails_is_a_configuration_error(tmp_path, monkeypatch):
    """The real download path, against an address on this machine where nothing listens."""
    import tensorflow_datasets as tfds

    class Unreachable(tfds.core.GeneratorBasedBuilder):
        """A set whose file cannot be fetched."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(),
                "label": tfds.features.ClassLabel(num_classes=2),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": iter(dl_manager.download("http://127.0.0.1:9/nothing"))}

        def _generate_examples(self, path):
            yield from ()

    monkeypatch.setattr("components.tfds_source._network", lambda: True)
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_, **__: None)
    builder = Unreachable(data_dir=str(tmp_path))
    with pytest.raises(ConfigError, match="is not prepared .* and the download failed"):
        prepare(builder)
    assert not list(itertools.chain(Path(tmp_path).rglob("*.tfrecord*")))
