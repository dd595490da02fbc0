"""Augment step: what is trained on how often, and the policies that trainers carry out per batch.

<directory>/policy.json         {"keras": [...], "torch": [...]} operations of policy.py
<directory>/index.npy           int64, one row per training example: rows of the training split,
                                and behind them those of copies/
<directory>/class_weights.npy   float64 (classes,), factors of the training loss
<directory>/copies/keras/, torch/   augmented copies, shards as in components/data/arrays.py
<directory>/copied_rows.npy     int64, the row of the training split each copy was made from
<directory>/balance.json        per class: examples before and after, weight of its loss

`augment.balance` evens out classes of different sizes, in the training split alone and alike for
both frameworks, up to the largest class:

none        nothing.
weights     each class's loss counts n / (k * n_c) times, for n images of k classes, n_c of this
            one: scikit-learn's `class_weight="balanced"` (King and Zeng 2001, Political Analysis
            9:2). A batch's loss is the mean of weight x cross-entropy; over the training split the
            weights' mean is 1, so that the learning rate keeps its meaning.
oversample  images of smaller classes occur several times in the index, each equally often, the
            remainder drawn without replacement. The policy then changes each occurrence.
augmented   as many copies as that, each changed once by the framework's own policy and stored.
            Trainers do not augment them again, and no framework reads the other's: a trace that
            only images of small classes bear (twice resampled, or by another library) tells those
            classes apart, and networks learn it instead of the picture.
"""

import json
from pathlib import Path

import numpy as np

from components.augmentation.copies import SEED, CopyArgs
from components.augmentation.plan import COPIES
from components.augmentation.policy import AugmentConfig
from components.base.frameworks import FRAMEWORKS, IMPORTED
from components.base.process import HOURS, run_module
from components.data.arrays import ImageArrays, open_split


def make_plan(
    arrays: ImageArrays, config: AugmentConfig, directory: Path, limit: int | None = None
) -> None:
    """Writes all of the plan but the preview; copies are made in the frameworks' own processes.

    With a `limit` so many images are drawn from the training split, and the rest left alone.

    Raises ValueError when the training split is empty, StepFailed when such a process fails.
    """
    all_labels, classes = open_split(arrays, "train").labels, len(arrays.labels)
    rows = np.arange(len(all_labels))
    if limit and limit < len(rows):
        rows = np.sort(np.random.default_rng(SEED).choice(rows, limit, replace=False))
    labels, index, copied = all_labels[rows], rows, np.zeros(0, np.int64)
    weights = np.ones(classes)
    match config.balance:
        case "weights":
            weights = balanced_weights(labels, classes)
        case "oversample":
            index = np.concatenate([rows, rows[extra_rows(labels)]])
        case "augmented":
            copied = rows[extra_rows(labels)]
            index = np.concatenate([rows, len(all_labels) + np.arange(len(copied))])
            if len(copied):
                _make_copies(arrays, config, directory, copied)
    policies = config.model_dump(mode="json", include={"keras", "torch"})
    (directory / "policy.json").write_text(json.dumps(policies, indent=1))
    np.save(directory / "index.npy", index)
    np.save(directory / "class_weights.npy", weights)
    before = np.bincount(labels, minlength=classes)
    both = np.concatenate([all_labels, all_labels[copied]])
    after = np.bincount(both[index], minlength=classes)
    counts = {
        name: {"before": int(b), "after": int(a), "weight": float(w)}
        for name, b, a, w in zip(arrays.labels, before, after, weights)
    }
    balance = {"balance": config.balance, "classes": counts}
    (directory / "balance.json").write_text(json.dumps(balance, indent=1, ensure_ascii=False))


def _make_copies(
    arrays: ImageArrays, config: AugmentConfig, directory: Path, rows: np.ndarray
) -> None:
    np.save(directory / "copied_rows.npy", rows)
    for framework in FRAMEWORKS:
        arguments = CopyArgs(
            arrays=arrays.directory,
            rows=directory / "copied_rows.npy",
            policy=getattr(config, framework),
            keep_margin=True,
            output=directory / COPIES / framework,
        )
        module = f"components.augmentation.{framework}_copies"
        run_module(module, arguments, directory, seconds=24 * HOURS, imports=IMPORTED[framework])


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """float64 (classes,): n / (k * n_c), k counting the classes that have images. The others get
    1, which no example ever meets."""
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    weights = np.ones(classes)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights


def extra_rows(labels: np.ndarray) -> np.ndarray:
    """int64: rows that, added to all, bring each class that has images up to the largest."""
    rng = np.random.default_rng(SEED)
    counts = np.bincount(labels)
    extra = [np.zeros(0, np.int64)]
    for label in np.flatnonzero(counts):
        rows = np.flatnonzero(labels == label)
        whole, remainder = divmod(int(counts.max()) - len(rows), len(rows))
        extra += [np.tile(rows, whole), rng.choice(rows, remainder, replace=False)]
    return np.concatenate(extra)
