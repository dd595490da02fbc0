"""Look-alikes: pictures that are not the same, pixel by pixel, and still the same to the eye.

A perceptual hash finds candidates among a million pictures, their pixels decide. Measured on
pets.tar: of copies as JPEG of quality 70, in half size, 20% darker or brighter, or cropped by 1% a
side 98.9% and more are found, of those cropped by 2% three in four, by 5% hardly any. Of MNIST's
16,041 held-out digits 13 are named, of CIFAR-10's 15,009 held-out images 83.
"""

from collections.abc import Iterator

import numpy as np
import scipy.fft

from components.data.duplicates import PICTURE, Catalogue

CLOSE = 6
"""Bits of 64 that may differ between the perceptual hashes of candidates."""
ALIKE = 0.97
"""Correlation of the grey levels of two pictures that look alike."""
SAME = 0.995
"""Correlation that is asked of a picture most of whose candidates are not `ALIKE`: as in MNIST,
where strokes on black have few forms, the hash says little there and a chance likeness is near."""

MOST = 64
"""Candidates that a picture is compared with, those with the closest hashes: bounds the time."""
_CROWD = 512  # of hashes with a band in common that are looked at, beside equal ones
_BANDS = [(0, 10), *((10 + 9 * band, 9) for band in range(6))]
_HASHES, _PAIRS = 2_000, 50_000  # worked on at once: bounds the memory
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


def small_pictures(thumbnails: np.ndarray) -> np.ndarray:
    """uint8 (N, 32, 32) grey thumbnails to the uint8 (N, PICTURE) that are compared."""
    side = _SIZE // 2
    blocks = thumbnails.reshape(len(thumbnails), side, 2, side, 2).mean((2, 4))
    return np.round(blocks).astype(np.uint8).reshape(len(thumbnails), PICTURE)


def look_alikes(catalogue: Catalogue) -> list[tuple[int, int]]:
    """(row, row of its closest look-alike in an earlier split), at most one for each val and test
    image: pictures with hashes that differ in at most `CLOSE` bits and pixels that correlate by
    `ALIKE`, or by `SAME` where most of those with such hashes do not."""
    best = np.full(len(catalogue), -1, np.float32)
    twin, close, agreeing = (np.zeros(len(catalogue), np.int64) for _ in range(3))
    members = [np.flatnonzero(catalogue.splits == split) for split in range(3)]
    for later, earlier in ((2, 0), (2, 1), (1, 0)):
        ours, theirs = members[later], members[earlier]
        for left, right in _candidates(catalogue.looks[ours], catalogue.looks[theirs]):
            rows, others = ours[left], theirs[right]
            alike = _correlation(catalogue.pictures[rows], catalogue.pictures[others])
            np.add.at(close, rows, 1)
            np.add.at(agreeing, rows, alike >= ALIKE)
            np.maximum.at(best, rows, alike)
            closest = alike == best[rows]
            twin[rows[closest]] = others[closest]
    found = (best >= SAME) | (best >= ALIKE) & (2 * agreeing >= close)
    return [(row, int(twin[row])) for row in np.flatnonzero(found).tolist()]


def _correlation(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each picture with the other (float32): blind to brightness and contrast. 0 for one that is
    of a single grey."""
    a, b = (
        p.astype(np.float32) - p.mean(1, keepdims=True, dtype=np.float32)
        for p in (pictures, others)
    )
    scale = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return (a * b).sum(1) / np.maximum(scale, 1)


def _candidates(looks: np.ndarray, others: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices into `looks`, into `others`) of images with close hashes, `_PAIRS` at a time."""
    hashes, ours, counts = _grouped(looks)
    other_hashes, theirs, other_counts = _grouped(others)
    starts, other_starts = np.cumsum(counts) - counts, np.cumsum(other_counts) - other_counts
    for block in range(0, len(hashes), _HASHES):
        left, right = _close(hashes[block : block + _HASHES], other_hashes)
        pair, offset = _ranges(np.minimum(other_counts[right], MOST))
        left, image = block + left[pair], theirs[other_starts[right[pair]] + offset]
        # Those of one hash follow each other, the closest first.
        first = np.searchsorted(left, left, side="left")
        kept = np.arange(len(left)) - first < MOST
        left, image = left[kept], image[kept]
        for part in range(0, len(left), _PAIRS):
            hash_, image_ = left[part : part + _PAIRS], image[part : part + _PAIRS]
            pair, offset = _ranges(counts[hash_])
            for begin in range(0, len(pair), _PAIRS):
                p, o = pair[begin : begin + _PAIRS], offset[begin : begin + _PAIRS]
                yield ours[starts[hash_[p]] + o], image_[p]


def _grouped(looks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(distinct hashes, ascending; indices of the images, hash by hash; how many have each)."""
    hashes, counts = np.unique(looks, return_counts=True)
    return hashes, np.argsort(looks, kind="stable"), counts


def _ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each index as often as `counts` says, and which time it is, from 0."""
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)


def _close(hashes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of pairs within `CLOSE` bits, by the first hash and how close the other is.

    Hashes that close have at least one of CLOSE + 1 bands in common: only these are compared.
    """
    place = np.minimum(np.searchsorted(others, hashes), max(0, len(others) - 1))
    equal = np.flatnonzero(others[place] == hashes) if len(others) else np.empty(0, np.int64)
    lefts, rights = [equal], [place[equal]]
    for shift, bits in _BANDS:
        band, other_band = (
            (h >> np.uint64(shift)) & np.uint64(2**bits - 1) for h in (hashes, others)
        )
        order = np.argsort(other_band, kind="stable")
        start = np.searchsorted(other_band[order], band, side="left")
        stop = np.searchsorted(other_band[order], band, side="right")
        left, offset = _ranges(np.minimum(stop - start, _CROWD))
        right = order[start[left] + offset]
        near = np.bitwise_count(hashes[left] ^ others[right]) <= CLOSE
        lefts.append(left[near])
        rights.append(right[near])
    keys = np.unique(np.concatenate(lefts) * len(others) + np.concatenate(rights))
    left, right = np.divmod(keys, max(1, len(others)))
    nearest = np.lexsort((np.bitwise_count(hashes[left] ^ others[right]), left))
    return left[nearest], right[nearest]
