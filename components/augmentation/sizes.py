"""Sizes of images that are trained on at less than their whole size."""


def sides(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width of images of `shape` at a scale, at least 1."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
