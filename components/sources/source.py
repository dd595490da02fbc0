"""What a source is: it lists its files once and reads them in chunks.

Every source gives encoded bytes, an integer label and, where it has them, its own splits. Nothing
is decoded or judged here.
"""

import dataclasses

CHUNK = 2500
"""Images per unit of work: bounds the memory of a worker and names its output shard."""

SPLITS = ("train", "val", "test")

SPLIT_NAMES = {"train": "train", "val": "val", "validation": "val", "test": "test"}


@dataclasses.dataclass(frozen=True)
class RawImage:
    """One image as found: `split` is the source's own, or None where it has none.

    `label` is -1 where the source does not say, `size` in bytes; `problem` is the reason why there
    is no `data`.
    """

    name: str
    data: bytes | None
    label: int
    split: str | None
    problem: str | None = None
    size: int = 0
