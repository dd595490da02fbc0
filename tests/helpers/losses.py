"""Outputs of all kinds with their losses by the definition, in float64."""

import numpy as np
from scipy import special

from components.networks.description import Architecture
from components.networks.layers import Activation, Dense, Flatten

KINDS = {
    "logits": (5, None),
    "log_probabilities": (5, "log_softmax"),
    "probabilities": (5, "softmax"),
    "one logit": (1, None),
    "one probability": (1, "sigmoid"),
}


def architecture(kind: str) -> Architecture:
    units, function = KINDS[kind]
    last = (Activation(function=function),) if function else ()
    return Architecture(name="x", layers=(Flatten(), Dense(units=units), *last))


def example(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Outputs float32 (40, units) and labels int64 (40,)."""
    rng, (units, function) = np.random.default_rng(1), KINDS[kind]
    logits = rng.normal(0, 3, (40, units))
    change = {None: lambda x: x, "sigmoid": special.expit,
              "softmax": lambda x: special.softmax(x, 1),
              "log_softmax": lambda x: special.log_softmax(x, 1)}[function]  # fmt: skip
    return change(logits).astype(np.float32), rng.integers(0, max(units, 2), 40)


def expected(kind: str, smoothing: float) -> np.ndarray:
    """float64 (40,): cross-entropy of the smoothed distribution over the classes."""
    outputs, labels = example(kind)
    outputs, units = outputs.astype(np.float64), KINDS[kind][0]
    if units == 1:
        p = special.expit(outputs) if kind == "one logit" else outputs
        p = np.concatenate([1 - p, p], 1)
    else:
        p = {"logits": lambda x: special.softmax(x, 1), "log_probabilities": np.exp,
             "probabilities": lambda x: x}[kind](outputs)  # fmt: skip
    classes = p.shape[1]
    target = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    return special.entr(target).sum(1) + special.rel_entr(target, p).sum(1)


def right_answers(kind: str) -> np.ndarray:
    outputs, _ = example(kind)
    if KINDS[kind][0] == 1:
        return (outputs[:, 0] > (0 if kind == "one logit" else 0.5)).astype(np.int64)
    return outputs.argmax(1)
