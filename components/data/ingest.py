"""Ingest's decisions about images and sets; `examine.py` judges a file, `accounting.py` counts."""

from components.base.refusal import DataRefused
from components.sources.config import DataConfig
from components.sources.source import SPLITS


def carved(config: DataConfig, splits: frozenset[str]) -> dict[str, float]:
    """The splits that are carved from train, as the source (which has `splits`) lacks them, with
    their shares, from the lowest hashes on."""
    shares = {"test": config.test_fraction, "val": config.val_fraction}
    return {split: share for split, share in shares.items() if split not in splits}


def assign_split(own: str | None, digest: str, shares: dict[str, float]) -> str:
    """The source's own split, or one by hash of the pixels: stable when files move or are added.

    `shares` are those of the splits that are `carved` from train. What this leaves small classes
    short of, `stratify.stratified` gives them when all images are known.
    """
    if own in ("val", "test"):
        return own
    rest = int(digest[:13], 16) / 16**13
    for split, share in shares.items():
        if rest < share:
            return split
        rest -= share
    return "train"


def frozen_order(labels: tuple[str, ...], released: list[str]) -> tuple[str, ...]:
    """The classes of a source in the order of the current release, new ones behind them.

    So an index keeps its meaning for whoever calls the models, unless a class went missing.
    """
    kept = [name for name in released if name in labels]
    return (*kept, *(name for name in labels if name not in released))


def require_trainable(accounting: dict) -> None:
    """Raises DataRefused when nothing after ingest could even run: an empty split, one class."""
    read, good = accounting["read"], accounting["good"]
    if not good:
        quarantine = accounting["findings"].get("quarantined", [])
        reasons = sorted({finding["detail"] for finding in quarantine})
        sentence = (
            f"None of the {read} files is an image that can be decoded ({', '.join(reasons)}): "
            "expected JPEG, PNG, GIF, BMP, WEBP or TIFF."
        )
        raise DataRefused(sentence, data=accounting)
    present = {name for split in accounting["splits"].values() for name, n in split.items() if n}
    if len(present) < 2:
        sentence = f"Only class {present.pop()!r} has images: a classifier needs at least two."
        raise DataRefused(sentence, data=accounting)
    for split in SPLITS:
        if not sum(accounting["splits"][split].values()):
            sentence = (
                f"Split {split!r} is empty: {good} images are too few for train, val and test; "
                "each class needs at least 3 different ones, or one in each split where the source "
                "has splits itself."
            )
            raise DataRefused(sentence, data=accounting)
