"""Learning rate and size of the images over a training, and when it ends: the same numbers in both
frameworks.

constant    `learning_rate` throughout.
plateau     halved when val_loss has not fallen for `plateau` epochs.
cosine      from `learning_rate` to `min_learning_rate` along half a cosine (Loshchilov and Hutter
            2017, arXiv:1608.03983, without restarts).
one_cycle   rises in a straight line from a 25th of `learning_rate` during the share `warmup` of the
            steps, then falls to `min_learning_rate` along half a cosine (Smith and Topin 2018,
            arXiv:1708.07120; the momentum stays as it is).

With `progressive_resizing` images are small at first (Howard 2018, fast.ai's DAWNBench entry): a
network that ends in a global average learns coarse features of them in a fraction of the time.
Sides grow in stages of a quarter of the whole, equally long, over the first 70% of the steps.
Validation is on whole images throughout.
"""

import math

from components.training.config import TrainConfig

_ONE_CYCLE_START = 1 / 25
_STAGE = 1 / 4
_WHOLE_FROM = 0.7


class Schedule:
    """Follows a training of `steps` steps. `state` is plain JSON, for checkpoints."""

    def __init__(self, config: TrainConfig, steps: int):
        self._config, self._steps = config, steps
        self.state = {"best": math.inf, "since_best": 0, "since_halved": 0, "halvings": 0}

    def rate(self, step: int) -> float:
        """The learning rate of a step; steps count from 0 over all epochs."""
        config = self._config
        top, low = config.learning_rate, config.min_learning_rate
        match config.schedule:
            case "plateau":
                return max(top / 2 ** self.state["halvings"], low)
            case "cosine":
                return _cosine(top, low, step / self._steps)
            case "one_cycle":
                rise = config.warmup * self._steps
                if step < rise:
                    return top * (_ONE_CYCLE_START + (1 - _ONE_CYCLE_START) * step / rise)
                return _cosine(top, low, (step - rise) / (self._steps - rise))
        return top

    def scale(self, step: int) -> float:
        """Sides of a step's images, as a share of the network's input; steps as for `rate`."""
        *smaller, whole = scales(self._config)
        stage = int(len(smaller) * step / (_WHOLE_FROM * self._steps))
        return smaller[stage] if stage < len(smaller) else whole

    def end_epoch(self, val_loss: float) -> bool:
        """Takes note of an epoch's validation loss; False when training is to stop early."""
        state, config = self.state, self._config
        improved = val_loss < state["best"]
        state["best"] = min(val_loss, state["best"])
        for count in ("since_best", "since_halved"):
            state[count] = 0 if improved else state[count] + 1
        if state["since_halved"] >= config.plateau:
            state["since_halved"] = 0
            state["halvings"] += 1
        return not config.early_stopping or state["since_best"] < config.early_stopping


def scales(config: TrainConfig) -> list[float]:
    """Those that `Schedule.scale` goes through, in order; the last is 1."""
    first = config.progressive_resizing
    return [*(first + n * _STAGE for n in range(math.ceil((1 - first) / _STAGE))), 1.0]


def _cosine(top: float, low: float, progress: float) -> float:
    return low + (top - low) * (1 + math.cos(math.pi * progress)) / 2
