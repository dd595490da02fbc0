"""What a model is compared with: one of the releases before it, on the same test images where
that one can be run on them. Standard library only."""

import dataclasses
from typing import Any

COMPARISONS = "comparisons.json"
"""Beside the Gates step's verdict.json: `{framework: [Comparison.to_json()...]}`."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A release as the change gate sees it.

    `kind` is "current", or "best" for the best ever released, which was chosen from `among`
    releases. `accuracy` is that on `images` images (None: it is not known how many), and `source`
    says in words where it is from. `only_new_right` and `only_old_right` count the images that just
    one of the two answers rightly; both are None where they were not asked about the same images.
    `released_accuracy` on `released_images` is what the release's manifest says of it.
    """

    version: int
    kind: str
    accuracy: float
    source: str
    images: int | None = None
    only_new_right: int | None = None
    only_old_right: int | None = None
    among: int = 1
    released_accuracy: float | None = None
    released_images: int | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Comparison":
        """What `to_json` gave."""
        return cls(**values)
