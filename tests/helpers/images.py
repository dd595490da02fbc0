"""Small real image files for tests: scikit-learn's two bundled photographs, cut into tiles."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


def photographs() -> list[np.ndarray]:
    """Two photographs, uint8 (427, 640, 3): a temple and a flower."""
    return load_sample_images().images


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def tile(photograph: int, row: int, column: int, height: int = 32, width: int = 32) -> Image.Image:
    """One tile of a photograph as an RGB image."""
    pixels = photographs()[photograph]
    top, left = row * height, column * width
    return Image.fromarray(pixels[top : top + height, left : left + width])


def write_class_folders(root: Path, per_class: int, size: int = 24) -> Path:
    """Three classes that a small network can tell apart, PNG and JPEG mixed: tiles of the temple,
    tiles of the flower, and the temple's tiles turned into their negative."""
    temple, flower = photographs()
    rows, columns = 427 // size, 640 // size
    rng = np.random.default_rng(0)
    for name, pixels in (("flower", flower), ("negative", 255 - temple), ("temple", temple)):
        (root / name).mkdir(parents=True)
        for number, place in enumerate(rng.permutation(rows * columns)[:per_class]):
            top, left = size * (place // columns), size * (place % columns)
            image = Image.fromarray(pixels[top : top + size, left : left + size])
            ending, options = (".png", {}) if number % 2 else (".jpg", {"quality": 92})
            image.save(root / name / f"{number:03d}{ending}", **options)
    return root
