"""Catalogues of a few images for tests."""

import numpy as np

from components.data.duplicates import Catalogue
from components.data.examine import examine
from components.data.look_alikes import perceptual_hashes, small_pictures
from components.sources.config import DataConfig
from components.sources.source import RawImage


def catalogue(*rows: tuple[bytes, int, int]) -> Catalogue:
    """From (file, split, label) rows, through examine()."""
    config = DataConfig(source="digits")
    examples = [examine(RawImage("", data, 0, None), config) for data, _, _ in rows]
    thumbnails = np.stack([example.thumbnail for example in examples])
    return Catalogue.of(
        [f"{number}" for number in range(len(rows))],
        [split for _, split, _ in rows],
        [label for _, _, label in rows],
        [example.sha256[:32] for example in examples],
        perceptual_hashes(thumbnails),
        [picture.tobytes() for picture in small_pictures(thumbnails)],
    )
