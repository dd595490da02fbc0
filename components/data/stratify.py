"""The least that each class has in each split: what a hash alone does not give small classes."""

import dataclasses
import math

import numpy as np

from components.data.duplicates import Catalogue
from components.sources.source import SPLITS


def stratified(
    catalogue: Catalogue, drop: np.ndarray, shares: dict[str, float], least: int = 1
) -> Catalogue:
    """`catalogue` with at least `least` pictures of each class in train and in every split of
    `shares` (those that are carved from train, in the order of `ingest.carved`), and half of
    train's share in train. Classes without so many different pictures get a part of it, those
    without one for each split are left as they are.

    Pictures go to the splits in the order of their hashes, the lowest to the first. So a class that
    the hash itself serves well, as it does large ones, is left as it is; and a picture in train
    stays there when others are added, as the ones before it can only become more: a later test
    split holds nothing that an earlier model was trained on, unless half of train's share had to be
    taken back for it. `drop` (bool, N) are images that leave.
    A picture under several labels counts for the first of them, and all its copies move together.
    """
    if not shares:
        return catalogue
    carved = [SPLITS.index(split) for split in (*shares, "train")]
    rows = np.flatnonzero(~drop & np.isin(catalogue.splits, carved))
    rows = rows[np.argsort(catalogue.labels[rows], kind="stable")]
    digests, first, picture = np.unique(
        catalogue.digests[rows], return_index=True, return_inverse=True
    )
    labels, splits = catalogue.labels[rows][first], catalogue.splits[rows][first]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        counts = [int((splits[own] == split).sum()) for split in carved[:-1]]
        if (sizes := _sizes(counts, len(own), list(shares.values()), least)) != counts:
            # Digests are sorted: hexadecimal digits of one length sort like their numbers.
            order = np.repeat(carved, [*sizes, len(own) - sum(sizes)])
            splits[own] = order
    moved = catalogue.splits.copy()
    moved[rows] = splits[picture]
    return dataclasses.replace(catalogue, splits=moved)


def _sizes(counts: list[int], images: int, shares: list[float], least: int) -> list[int]:
    """How many of a class's `images` each carved split gets, where the hash alone gives `counts`
    and `shares` are asked for."""
    least = min(least, images // (len(counts) + 1))
    if not least:
        return counts
    train = max(least, math.ceil(images * (1 - sum(shares)) / 2))
    room, sizes = max(images - train, least * len(counts)), []
    for number, count in enumerate(counts):
        others = least * (len(counts) - number - 1)
        sizes.append(max(least, min(count, room - others)))
        room -= sizes[-1]
    return sizes
