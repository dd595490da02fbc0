"""What to do with verified exports: which to release, or why none."""


def choose_champion(metrics: dict[str, dict]) -> str:
    """The blessed model with the best accuracy; on a tie, the lower loss."""
    return max(metrics, key=lambda name: (metrics[name]["accuracy"], -metrics[name]["loss"]))
