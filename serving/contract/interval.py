"""How sure a share of so many images is. Standard library only."""

import math
from statistics import NormalDist


def wilson(right: int, images: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a proportion: within it, the share of all images is, so confident.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", without
    continuity correction.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = right / images, z * z / images
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt((share * (1 - share) + spread / 4) / images)
    # Exact at the ends, where rounding would leave it a little inside of what was seen.
    return 0.0 if right == 0 else middle - half, 1.0 if right == images else middle + half
