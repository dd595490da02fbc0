"""Duplicates: which images of a set are the same picture, pixel by pixel."""

import dataclasses

import numpy as np
import numpy.typing as npt

DIGEST = 32
"""Characters of a picture's SHA-256 that are kept to tell it from others: 128 bits."""

PICTURE = 256
"""Pixels of the small grey pictures (16 x 16) by which look-alikes are compared."""


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """One row for each decoded image of a set.

    names (N,) of object; splits (N,) int8, numbers in `sources.SPLITS`; labels (N,) int32;
    digests (N,) S32, hexadecimal, equal for equal pixels; looks (N,) uint64, perceptual hashes;
    pictures (N, PICTURE) uint8, the images in grey, made small.
    """

    names: np.ndarray
    splits: np.ndarray
    labels: np.ndarray
    digests: np.ndarray
    looks: np.ndarray
    pictures: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(
        cls,
        names: list,
        splits: list,
        labels: list,
        digests: list,
        looks: npt.ArrayLike,
        pictures: list[bytes],
    ) -> "Catalogue":
        """From plain lists of one length."""
        return cls(
            np.array(names, object),
            np.array(splits, np.int8),
            np.array(labels, np.int32),
            np.array(digests, f"S{DIGEST}"),
            np.asarray(looks, np.uint64),
            np.frombuffer(b"".join(pictures), np.uint8).reshape(len(names), PICTURE),
        )

    @classmethod
    def concatenate(cls, parts: list["Catalogue"]) -> "Catalogue":
        fields = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, f) for part in parts]) for f in fields))

    def rows(self, rows: np.ndarray) -> "Catalogue":
        fields = [field.name for field in dataclasses.fields(self)]
        return Catalogue(*(getattr(self, field)[rows] for field in fields))


def leaks(catalogue: Catalogue) -> np.ndarray:
    """bool (N,): images whose pixels sit in a later split too, and which must leave this one.

    Train gives way to val and test, val to test: what a model is judged on stays whole. Copies
    within one split stay, and `copies` finds them.
    """
    _, picture = np.unique(catalogue.digests, return_inverse=True)
    last = np.zeros(picture.max(initial=-1) + 1, np.int8)
    np.maximum.at(last, picture, catalogue.splits)
    return catalogue.splits < last[picture]


def copies(catalogue: Catalogue) -> list[tuple[int, int]]:
    """(row, first row with the same pixels in the same split), for all but that first one."""
    _, picture = np.unique(catalogue.digests, return_inverse=True)
    keys = picture * np.int64(4) + catalogue.splits
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    rows = np.flatnonzero(first[place] < np.arange(len(keys)))
    return list(zip(rows.tolist(), first[place[rows]].tolist()))


def conflicts(catalogue: Catalogue) -> np.ndarray:
    """Rows, int64, of pictures that occur under more than one label, grouped by picture."""
    _, picture = np.unique(catalogue.digests, return_inverse=True)
    low = np.full(picture.max(initial=-1) + 1, np.iinfo(np.int32).max, np.int32)
    high = np.full_like(low, -1)
    np.minimum.at(low, picture, catalogue.labels)
    np.maximum.at(high, picture, catalogue.labels)
    rows = np.flatnonzero((low < high)[picture])
    return rows[np.argsort(picture[rows], kind="stable")]
