"""The data gate: whether what was ingested may be trained on.

Pure functions over the ingest step's accounting; the statistical part, which needs TFDV, is in
`validate_tfx.py`.
"""

from components.gates import GateResult
from components.sources import SPLITS, DataRefused
from pipeline.config import DataConfig


def require_trainable(accounting: dict) -> None:
    """Raises DataRefused when nothing after ingest could even run: an empty split, one class."""
    read, good = accounting["read"], accounting["good"]
    if not good:
        reasons = sorted({q["reason"] for q in accounting["quarantine"]})
        sentence = (
            f"None of the {read} files is an image that can be decoded ({', '.join(reasons)}): "
            "expected JPEG, PNG, GIF, BMP or WEBP."
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
                "add images or change data.val_fraction and data.test_fraction."
            )
            raise DataRefused(sentence, data=accounting)


def check_accounting(accounting: dict, config: DataConfig) -> list[GateResult]:
    """The gates on counts: quarantined share, and images per class and split."""
    read, bad = accounting["read"], accounting["quarantined"]
    share = bad / read
    results = [
        GateResult(
            name="quarantined",
            expected=f"at most {config.max_quarantined:.2%} of the files",
            received=f"{share:.2%} ({bad} of {read})",
            passed=share <= config.max_quarantined,
        )
    ]
    for split, counts in accounting["splits"].items():
        name, least = min(counts.items(), key=lambda item: item[1])
        results.append(
            GateResult(
                name=f"images_per_class_{split}",
                expected=f"at least {config.min_per_class} of each class in {split}",
                received=f"{least} of class {name!r}",
                passed=least >= config.min_per_class,
            )
        )
    return results
