"""TFDS sets as a source, on the real MNIST and CIFAR-10 where they are at hand."""

import collections
import hashlib
import http.server
import io
import itertools
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.base.refusal import ConfigError
from components.sources.config import DataConfig
from components.sources.open_source import open_source
from components.sources.tfds_source import prepare
from pipeline.configuration.configure import configure
from tests.helpers.images import encode
from tests.helpers.shared_data import PREPARED, needs_data


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
    config = configure("tfds:cifar10", {"data.dir": str(PREPARED)})
    assert config.name == "cifar10" and config.data.dir == str(PREPARED)
    assert (config.image.height, config.image.width, config.image.channels) == (32, 32, 3)
    assert config.gates.min_accuracy == pytest.approx(0.19)


@needs_data
@pytest.mark.parametrize(
    "name, label, words",
    [
        ("cifar10", "id", r"features id \(Text\), image \(Image\), label \(ClassLabel\)"),
        ("cifar10", "attributes/Smiling", "ClassLabel or bool called attributes/Smiling"),
        ("cifar1O", "label", "did you mean 'cifar10'"),
        ("cifar10/none", "label", "cannot open 'cifar10/none': .*none not found"),
        ("cifar10:9.0.0", "label", "cannot be loaded at version 9.0.0"),
    ],
)
def test_a_set_or_label_that_does_not_exist_is_named(name, label, words):
    with pytest.raises(ConfigError, match=words):
        open_source(DataConfig(source=f"tfds:{name}", dir=str(PREPARED), label=label))


def test_an_attribute_of_celeb_a_becomes_two_classes(tmp_path):
    """TFDS's own stand-in for a set that is absent: right features, random content."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("celeb_a", data_dir=str(tmp_path))
    splits = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[6],
            num_bytes=0,
            filename_template=tfds.core.ShardedFileTemplate(
                data_dir=builder.data_path,
                dataset_name=builder.name,
                split=split,
                filetype_suffix="tfrecord",
            ),
        )
        for split in ("train", "validation", "test")
    ]
    builder.info.set_splits(tfds.core.splits.SplitDict(splits))
    builder.data_path.mkdir(parents=True)
    builder.info.write_to_directory(builder.data_path)
    config = configure("celeba_smile", {"data.dir": str(tmp_path)}).data
    with tfds.testing.mock_data(num_examples=6, data_dir=str(tmp_path)):
        source = pickle.loads(pickle.dumps(open_source(config)))
        images = [raw for chunk in source.chunks() for raw in source.read(chunk, 10**6)]
        inferred = configure(
            "tfds:celeb_a", {"data.dir": str(tmp_path), "data.label": "attributes/Male"}
        )
    assert source.labels == ("not_smiling", "smiling") and not source.ignored
    assert source.image_shape == (218, 178, 3)
    assert collections.Counter(raw.split for raw in images) == {"train": 6, "val": 6, "test": 6}
    assert {raw.label for raw in images} == {0, 1}
    assert all(Image.open(io.BytesIO(raw.data)).size == (178, 218) for raw in images)
    assert inferred.data.label == "attributes/Male" and inferred.data.dir == str(tmp_path)


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

    monkeypatch.setattr("components.sources.tfds_source._network", lambda: True)
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_, **__: None)
    monkeypatch.setattr(Unreachable, "url_infos", _registered("http://127.0.0.1:9/nothing", b""))
    builder = Unreachable(data_dir=str(tmp_path))
    with pytest.raises(ConfigError, match="is not prepared .* and the download failed"):
        prepare(builder)
    assert not list(itertools.chain(Path(tmp_path).rglob("*.tfrecord*")))


def test_a_downloaded_file_must_have_the_checksum_that_is_registered(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    picture = encode(Image.new("L", (8, 8), 7), "PNG")
    served = {"content": picture + b"tampered with"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(served["content"])

        def log_message(self, *_):
            pass

    class ServedImages(tfds.core.GeneratorBasedBuilder):
        """A set of one picture, fetched over HTTP."""

        VERSION = tfds.core.Version("1.0.0")
        url = ""

        def _info(self):
            label = tfds.features.ClassLabel(names=["flat", "deep"])
            features = {"image": tfds.features.Image(shape=(8, 8, 1)), "label": label}
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(dl_manager.download(self.url))}

        def _generate_examples(self, path):
            yield 0, {"image": str(path), "label": "deep"}

    def prepared() -> list[Path]:
        return [path for path in tmp_path.rglob("*") if "tfrecord" in path.name]

    monkeypatch.setattr("components.sources.tfds_source._network", lambda: True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    config = DataConfig(source="tfds:served_images", dir=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ServedImages.url = f"http://127.0.0.1:{server.server_port}/picture.png"
        monkeypatch.setattr(ServedImages, "url_infos", None)
        with pytest.raises(ConfigError, match="download failed: Missing checksums url"):
            open_source(config)
        monkeypatch.setattr(ServedImages, "url_infos", _registered(ServedImages.url, picture))
        with pytest.raises(ConfigError, match="download failed: .* has wrong checksum"):
            open_source(config)
        assert not prepared()
        served["content"] = picture
        source = open_source(config)
        server.shutdown()
    (image,) = source.read(source.chunks()[0], 10**6)
    assert (image.data, image.label, image.split) == (picture, 1, "train") and prepared()


def _registered(url: str, content: bytes) -> dict:
    """What a set's checksums.tsv says of one file."""
    from tensorflow_datasets.core.download.checksums import UrlInfo

    digest = hashlib.sha256(content).hexdigest()
    return {url: UrlInfo(size=len(content), checksum=digest, filename=url.rpartition("/")[2])}
