"""The arithmetic of steps that both frameworks share: order, counts, seeds, constants."""

import numpy as np

from components.training.config import TrainConfig

ADAM_EPSILON = 1e-7
"""Added to the root of the second moment by both frameworks' Adam."""
MUON_RMS = 0.2
"""Root mean square of a step's change of a kernel at a learning rate of one: about that of Adam's
steps, so that both take the same rates (Liu et al. 2025, arXiv:2502.16982, section 2.2)."""
ORTHOGONALIZED = 5 * ((3.4445, -4.7750, 2.0315),)
"""For each Newton-Schulz iteration the factors of X, XX'X and XX'XX'X that bring the singular
values of a matrix of norm one near to one (Jordan et al. 2024, kellerjordan.github.io/posts/muon).
"""
SMALLEST_PROBABILITY = 1e-7
"""Probabilities are raised to this before a loss takes their logarithm."""


def shuffled(index: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """`index` in an order that depends on `seed` and `epoch` alone: any epoch's order can be had
    without the ones before it."""
    return np.random.default_rng((seed, epoch)).permutation(index)


def step_count(rows: int, config: TrainConfig) -> int:
    """Steps of an epoch. The last batch is as short as it is, unless it holds fewer than two images
    for each device: then it is left out, as batch norm cannot learn from one. Raises ValueError
    when no batch is left."""
    whole, rest = divmod(rows, config.batch_size)
    if not whole and rest < config.devices:
        raise ValueError(
            f"{rows} images to train on with train.devices {config.devices}, expected at least one "
            "for each: use fewer devices."
        )
    return max(1, whole + (rest >= 2 * config.devices))


def step_seed(seed: int, epoch: int, step: int, replica: int) -> int:
    """Of what a step draws at random on one device: a training can be resumed at any step."""
    sequence = np.random.SeedSequence((seed, epoch, step, replica))
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def averaging_at(share: float, updates: int) -> float:
    """The share of the average that update number `updates` keeps: less at first, so that the
    weights drawn at the start are soon forgotten (TensorFlow's ExponentialMovingAverage with
    `num_updates`)."""
    return min(share, (1 + updates) / (10 + updates))
