"""A picture with its preprocessing's result, by which a device's own preprocessing is judged."""

import numpy as np
from PIL import Image

from serving.contract.image_spec import ImageSpec, fit

_SCALE = 2.5


def photo(images: np.ndarray, spec: ImageSpec) -> Image.Image:
    """Three of the images (uint8, n x H x W x C) side by side and two and a half times as large, in
    mode L or RGB.

    Cropped it is the one in the middle, stretched all three, padded all three between black bars;
    whoever resizes it without antialiasing gets every other pixel: enlarged to sharp squares, they
    show.
    """
    three = np.concatenate([images[i % len(images)] for i in range(3)], axis=1)
    height, width, channels = three.shape
    picture = Image.fromarray(three[..., 0] if channels == 1 else three)
    size = round(width * _SCALE), round(height * _SCALE)
    return picture.resize(size, Image.Resampling.NEAREST)


def raw(picture: Image.Image) -> np.ndarray:
    """uint8 (height, width, channels) of a picture in mode L or RGB."""
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def preprocessed(picture: Image.Image, spec: ImageSpec) -> np.ndarray:
    """uint8 (H, W, C), as the server and training preprocess it."""
    return fit(picture, spec)
