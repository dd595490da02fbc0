"""One file, one picture: what ingest keeps or re-encodes, TensorFlow's graph and the server's NumPy
and Pillow path see the same pixels of it."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.data.examine import Example, examine
from components.data.transform_tfx import decode_batch, decode_image
from components.networks.description import Architecture
from components.networks.layers import Dense, Flatten
from components.sources.config import DataConfig
from components.sources.source import RawImage
from export.formats import saved_model
from export.formats.inference import inference
from serving.contract.image_spec import ImageSpec, decode
from serving.contract.open_image import open_image, upright
from tests.helpers.crafted import png
from tests.helpers.export_data import transform_graph
from tests.helpers.images import encode, tile
from tests.helpers.mutate import mutants, originals

CONFIG = DataConfig(source="digits")
HEIGHT, WIDTH = 24, 32
PHOTOGRAPH = tile(0, 7, 8, HEIGHT, WIDTH)
RGB = np.asarray(PHOTOGRAPH)
WIDE = RGB.astype(np.uint16) * 256 + 255 - RGB  # low bytes that matter to rounding
ODD = tile(1, 6, 6, 23, 31)


def _turned(orientation: int, format: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(PHOTOGRAPH, format, exif=exif)


def _ycck() -> bytes:
    data = bytearray(encode(PHOTOGRAPH.convert("CMYK"), "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2  # how the four channels are meant
    return bytes(data)


KEPT = {
    "4:2:0": encode(PHOTOGRAPH, "JPEG"),
    "4:2:2": encode(PHOTOGRAPH, "JPEG", subsampling=1),
    "4:4:4": encode(PHOTOGRAPH, "JPEG", subsampling=0),
    "grey JPEG": encode(PHOTOGRAPH.convert("L"), "JPEG"),
    "progressive": encode(PHOTOGRAPH, "JPEG", progressive=True, quality=60),
    "restart markers": encode(PHOTOGRAPH, "JPEG", restart_marker_blocks=1),
    "RGB JPEG": encode(PHOTOGRAPH, "JPEG", keep_rgb=True),
    "odd 4:2:0": encode(ODD, "JPEG"),
    "odd progressive": encode(ODD, "JPEG", progressive=True),
    "PNG": encode(PHOTOGRAPH, "PNG"),
    "grey PNG": encode(PHOTOGRAPH.convert("L"), "PNG"),
    "odd PNG": encode(ODD, "PNG"),
    "interlaced": png(RGB, 2, interlaced=True),
    "upright by EXIF": _turned(1),
}
REENCODED = {
    "CMYK": encode(PHOTOGRAPH.convert("CMYK"), "JPEG"),
    "YCCK": _ycck(),
    "palette": encode(PHOTOGRAPH.quantize(30), "PNG"),
    "transparent palette": encode(PHOTOGRAPH.quantize(9), "PNG", transparency=bytes(range(9))),
    "alpha": png(np.dstack([RGB, RGB[..., 1]]), 6),
    "grey alpha": png(RGB[..., :2], 4),
    "transparent colour": encode(PHOTOGRAPH, "PNG", transparency=tuple(map(int, RGB[0, 0]))),
    "16-bit grey": png(WIDE[..., 0], 0, 16),
    "16-bit RGB": png(WIDE, 2, 16),
    "16-bit grey alpha": png(WIDE[..., :2], 4, 16),
    "16-bit alpha": png(np.dstack([WIDE, WIDE[..., 1]]), 6, 16),
    "1-bit": png(RGB[..., 0] >> 7, 0, 1),
    "4-bit": png(RGB[..., 0] >> 4, 0, 4),
}
FOREIGN = {
    "GIF": encode(PHOTOGRAPH, "GIF"),
    "BMP": encode(PHOTOGRAPH, "BMP"),
    "WEBP": encode(PHOTOGRAPH, "WEBP"),
    **{f"EXIF {orientation}": _turned(orientation) for orientation in range(2, 9)},
    "EXIF PNG": _turned(6, "PNG"),
}
FILES = KEPT | REENCODED | FOREIGN


def _ingested(data: bytes) -> Example:
    example = examine(RawImage("a/1", data, 0, None), CONFIG)
    assert isinstance(example, Example), example
    return example


@functools.cache
def _graph_of(spec: ImageSpec):
    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(functools.partial(decode_batch, spec=spec), input_signature=signature)


def _graph(data: bytes, spec: ImageSpec) -> np.ndarray:
    return _graph_of(spec)(tf.constant([data])).numpy()[0]


@pytest.mark.parametrize("name", FILES)
def test_ordinary_files_keep_their_bytes_and_only_those(name):
    example = _ingested(FILES[name])
    assert example.reencoded == (name not in KEPT)
    assert (example.image == FILES[name]) == (name in KEPT)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FILES)
def test_graph_and_server_agree_exactly_on_ingested_files(name, channels):
    example = _ingested(FILES[name])
    spec = ImageSpec(example.height, example.width, channels)
    served = decode(FILES[name], spec)
    np.testing.assert_array_equal(decode(example.image, spec), served)
    np.testing.assert_array_equal(_graph(example.image, spec), served)


@pytest.mark.parametrize("height, width", [(16, 16), (12, 37), (37, 9), (64, 96), (5, 5)])
def test_graph_and_server_agree_within_one_grey_level_after_resizing(height, width):
    for channels in (1, 3):
        spec = ImageSpec(height, width, channels)
        for name, data in FILES.items():
            served = decode(data, spec).astype(np.float32)
            assert np.abs(_graph(_ingested(data).image, spec) - served).max() <= 1, name


@pytest.mark.parametrize("name", KEPT | REENCODED)
def test_graph_and_server_agree_on_files_that_were_never_ingested(name):
    image = upright(open_image(FILES[name], 1)[0], 3)
    spec = ImageSpec(image.height, image.width, 3)
    np.testing.assert_array_equal(_graph(FILES[name], spec), decode(FILES[name], spec))


def test_sixteen_bits_are_scaled_and_not_clipped():
    values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 85
    spec, data = ImageSpec(HEIGHT, WIDTH, 1), png(values, 0, 16)
    expected = np.round(values / 257)[..., None]
    assert expected.max() > 253
    np.testing.assert_array_equal(decode(data, spec), expected)
    np.testing.assert_array_equal(_graph(data, spec), expected)


def _revealing_model(spec: ImageSpec):
    """A Keras model with the pixels and a zero, all divided by ten, for logits."""
    import keras

    pixels = spec.height * spec.width * spec.channels
    model = keras.Sequential([keras.Input(spec.shape), keras.layers.Flatten()])
    model.add(keras.layers.Dense(pixels + 1, use_bias=False))
    model.layers[-1].set_weights([np.eye(pixels, pixels + 1, dtype=np.float32) / 10])
    return model


@pytest.fixture(scope="module")
def serving_bytes(tmp_path_factory):
    """`serving_bytes` of a SavedModel, as a function from a file to the pixels its model sees."""
    spec = ImageSpec(HEIGHT, WIDTH, 3)
    directory = tmp_path_factory.mktemp("serving")
    graph = transform_graph(directory / "transform", spec)
    layers = (Flatten(), Dense(units=HEIGHT * WIDTH * 3 + 1))
    described = Architecture(name="revealing", layers=layers)
    module = inference(_revealing_model(spec), described, graph)
    contract = {"image_spec": spec.to_dict(), "input": {"shape": [None, *spec.shape]}}
    path = saved_model.write(module, contract, directory / "model")
    loaded = tf.saved_model.load(str(path))

    def pixels(data: bytes) -> np.ndarray:
        answer = loaded.signatures["serving_bytes"](image_bytes=tf.constant([data]))
        logits = np.log(answer["probabilities"].numpy()[0].astype(np.float64))
        seen = 10 * (logits[:-1] - logits[-1]).reshape(spec.shape)
        assert np.abs(seen - np.round(seen)).max() < 0.01
        return np.round(seen)

    return pixels


def test_serving_bytes_sees_the_servers_pixels(serving_bytes):
    spec = ImageSpec(HEIGHT, WIDTH, 3)
    for name, data in (KEPT | REENCODED).items():
        if not name.startswith("odd"):
            np.testing.assert_array_equal(serving_bytes(data), decode(data, spec), name)


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_serving_bytes_ignores_the_orientation_so_that_files_must_be_turned_first(
    serving_bytes, orientation
):
    spec = ImageSpec(HEIGHT, WIDTH, 3)
    data = _turned(orientation)
    np.testing.assert_array_equal(serving_bytes(data), np.asarray(open_image(data, 1)[0]))
    turned = encode(upright(open_image(data, 1)[0], 3), "PNG")
    difference = serving_bytes(turned) - decode(data, spec)
    assert np.abs(difference).max() <= (1 if orientation == 6 else 0)


def _disagreements(files) -> list[bytes]:
    """Those that ingest takes and of which TensorFlow reads other pixels, or none."""
    read = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])
    found = []
    for data in files:
        example = examine(RawImage("a/1", data, 0, None), CONFIG)
        if not isinstance(example, Example):
            continue
        expected = np.asarray(upright(open_image(example.image, 1e3)[0], example.channels))
        try:
            received = read(tf.constant(example.image)).numpy()
        except tf.errors.InvalidArgumentError:
            found.append(data)
            continue
        if not np.array_equal(received, expected.reshape(received.shape)):
            found.append(data)
    return found


def test_tensorflow_reads_whatever_ingest_takes_of_mutated_files():
    assert not _disagreements(originals())
    assert not _disagreements(mutants(seed=0, count=1500))


@pytest.mark.full
def test_tensorflow_reads_whatever_ingest_takes_of_very_many_mutated_files():
    assert not _disagreements(mutants(seed=1, count=100_000))
