"""Duplicates: which images of a set are the same picture, and which merely look alike."""

import dataclasses

import numpy as np
import numpy.typing as npt
import scipy.fft

ALIKE = 2
"""Bits of 64 that may differ between perceptual hashes of pictures that look alike. With 2, some
97% of pictures recompressed as JPEG or made smaller are found."""

_BANDS = [(0, 22), (22, 21), (43, 21)]
DIGEST = 32
"""Characters of a picture's SHA-256 that are kept to tell it from others: 128 bits."""

_BLOCK = 1_000_000  # candidate pairs compared at once: bounds the memory
_SIZE, _LOW = 32, 8
_DCT = scipy.fft.dct(np.eye(_SIZE, dtype=np.float32), axis=0)[:_LOW]


def perceptual_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """uint8 (N, 32, 32) grey thumbnails to uint64 (N,).

    Bit k says whether coefficient k of the 8 x 8 lowest frequencies of the cosine transform is
    above their median: pHash (C. Zauner, 2010, Implementation and Benchmarking of Perceptual Image
    Hash Functions). Computed for a whole chunk at once, which costs a tenth of one image at a time.
    """
    low = (_DCT @ thumbnails.astype(np.float32) @ _DCT.T).reshape(len(thumbnails), _LOW**2)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """One row for each decoded image of a set.

    names (N,) of object; splits (N,) int8, numbers in `sources.SPLITS`; labels (N,) int32;
    digests (N,) S32, hexadecimal, equal for equal pixels; looks (N,) uint64, perceptual hashes.
    """

    names: np.ndarray
    splits: np.ndarray
    labels: np.ndarray
    digests: np.ndarray
    looks: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(
        cls, names: list, splits: list, labels: list, digests: list, looks: npt.ArrayLike
    ) -> "Catalogue":
        """From plain lists of one length."""
        return cls(
            np.array(names, object),
            np.array(splits, np.int8),
            np.array(labels, np.int32),
            np.array(digests, f"S{DIGEST}"),
            np.asarray(looks, np.uint64),
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


def alike(catalogue: Catalogue) -> list[tuple[int, int]]:
    """(row, row of a look-alike in an earlier split), at most one for each val and test image.

    Alike are pictures whose perceptual hashes differ in at most `ALIKE` bits.
    """
    pairs: dict[int, int] = {}
    members = [np.flatnonzero(catalogue.splits == split) for split in range(3)]
    for later, earlier in ((2, 0), (2, 1), (1, 0)):
        ours, theirs = (catalogue.looks[members[split]] for split in (later, earlier))
        hashes, place = np.unique(ours, return_inverse=True)
        others, first = np.unique(theirs, return_index=True)
        twin = _nearest(hashes, others)[place]
        for row, other in zip(members[later][twin >= 0], twin[twin >= 0]):
            pairs.setdefault(int(row), int(members[earlier][first[other]]))
    return sorted(pairs.items())


def _nearest(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of `hashes` the index of one of `others` within `ALIKE` bits, or -1.

    Hashes that close have at least one of ALIKE + 1 bands in common: only these are compared.
    """
    found = np.full(len(hashes), -1, np.int64)
    for shift, bits in _BANDS:
        band, other_band = (
            (h >> np.uint64(shift)) & np.uint64(2**bits - 1) for h in (hashes, others)
        )
        order = np.argsort(other_band, kind="stable")
        start = np.searchsorted(other_band[order], band, side="left")
        stop = np.searchsorted(other_band[order], band, side="right")
        for block in np.array_split(np.arange(len(hashes)), (stop - start).sum() // _BLOCK + 1):
            counts = (stop - start)[block]
            left = np.repeat(block, counts)
            offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            right = order[np.repeat(start[block], counts) + offset]
            close = np.bitwise_count(hashes[left] ^ others[right]) <= ALIKE
            found[left[close]] = right[close]
    return found
