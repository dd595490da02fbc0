"""A year of nights: what happens on which, and the images and settings that each one finds.

Everything here is a pure function of the number of nights and a seed.
"""

import dataclasses
import functools
import io
import math
import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from components.sources.digits_source import DigitsSource

WEEK = 7
CLASSES = "01234"
FIRST_IMAGES, NEW_IMAGES = 400, 8
"""In the first night, and whenever new ones come."""
TRUNCATED, MISLABELLED = 0.03, 0.4
"""Files of a bad batch as a share of the images that are there: more than `data_gate` takes, and
enough that no model of them is good."""
_SIZE_LEFT = 60
"""Bytes of a truncated file."""
ROOM = (0, 16, 64, 100, 200, 300, 400, 600, 850, 1200)
"""KiB on a disk that is nearly full."""


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """`kind` is a signal or `disk`; `moment` the share of the night's usual time after which the
    signal comes; `room` the KiB that the disk has left."""

    kind: str
    moment: float = 0.0
    room: int = 0


@dataclasses.dataclass(frozen=True)
class Night:
    """`events` are what came to pass since the night before:

    - new: images came in
    - corrupt: a batch came in with every file of it truncated; mislabelled: one in wrong classes
    - fixed: the truncated files are whole, the mislabelled ones taken out
    - better: the models are trained for longer from now on
    - rollback: somebody went back to the release before

    `disturbances` are for the disturbed year: each ends a run, after which the next one starts.
    """

    number: int
    events: tuple[str, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()

    @property
    def title(self) -> str:
        return ", ".join(self.events) or "nothing new"


SIGNALS = ("SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM", "SIGINT")
SPECIAL = ("corrupt", "mislabelled", "better", "rollback")
_FIRST_WEEK = (
    ("new",), (), ("corrupt",), ("fixed",), ("mislabelled",), ("fixed", "better"), ("rollback",),
)  # fmt: skip


def calendar(nights: int, seed: int) -> list[Night]:
    """The first week has every event and every kind of disturbance; each later one begins with new
    images and has one special event on another night, in turns of all of them."""
    draw = random.Random(seed)
    days: list[tuple[str, ...]] = list(_FIRST_WEEK)
    turn: list[str] = []
    while len(days) < nights:
        turn = turn or draw.sample(SPECIAL, len(SPECIAL))
        days += _later_week(draw, turn.pop())
    drawn = [_disturbances(draw, events) for events in days]
    drawn[0] = (Disturbance("SIGKILL", draw.random()),)
    drawn[2] = (Disturbance("SIGTERM", 0.3 * draw.random()),)
    drawn[3] = (Disturbance("disk", room=100), Disturbance("SIGKILL", draw.random()))
    drawn[5] = (Disturbance("SIGINT", draw.uniform(0.2, 0.7)),)
    rows = zip(days[:nights], drawn)
    return [Night(number, *row) for number, row in enumerate(rows, 1)]


def _later_week(draw: random.Random, special: str) -> list[tuple[str, ...]]:
    week: list[tuple[str, ...]] = [("new",), *[()] * (WEEK - 1)]
    day = draw.randrange(1, WEEK - 2)
    week[day] = (special,)
    if special in ("corrupt", "mislabelled"):
        week[draw.randrange(day + 1, day + 3)] = ("fixed",)  # sometimes nobody looks for a day
    return week


def _disturbances(draw: random.Random, events: tuple[str, ...]) -> tuple[Disturbance, ...]:
    count = draw.choices((0, 1, 2), (5, 4, 2) if events else (9, 1, 0))[0]
    return tuple(_disturbance(draw) for _ in range(count))


def _disturbance(draw: random.Random) -> Disturbance:
    if draw.random() < 0.25:
        return Disturbance("disk", room=draw.choice(ROOM))
    return Disturbance(draw.choice(SIGNALS), moment=draw.random())


def epochs(nights: Sequence[Night]) -> int:
    """How long models are trained after these nights' events."""
    return 6 + sum("better" in night.events for night in nights)


def expected(nights: Sequence[Night]) -> int:
    """Exit code of the last of these nights."""
    for night in reversed(nights):
        for event in reversed(night.events):
            return {"corrupt": 4, "mislabelled": 3, "rollback": 3}.get(event, 0)
    raise ValueError("no images have come yet")


def images(nights: Sequence[Night]) -> dict[str, bytes]:
    """The files of the last of these nights, by their paths."""
    good, bad, wrong = 0, 0, 0
    for event in (event for night in nights for event in night.events):
        if event == "new":
            good += NEW_IMAGES if good else FIRST_IMAGES
        elif event == "corrupt":
            bad = math.ceil(TRUNCATED * good)
        elif event == "mislabelled":
            wrong = math.ceil(MISLABELLED * good)
        elif event == "fixed":
            good, bad, wrong = good + bad, 0, 0
    drawn = _drawn()
    files = {f"{label}/{name}": data for label, name, data in drawn[:good]}
    for label, name, data in drawn[good : good + bad]:
        files[f"{label}/{name}"] = data[:_SIZE_LEFT]
    for label, name, data in drawn[good : good + wrong]:
        files[f"{(label + 1) % len(CLASSES)}/{name}"] = data
    return files


@functools.cache
def _drawn() -> list[tuple[int, str, bytes]]:
    """Label, name and PNG of scikit-learn's digits, and of the same turned on their heads: 1,802
    images that a small network tells apart."""
    found = []
    for raw in DigitsSource().read({"start": 0, "stop": 1797}, 10**6):
        if raw.label < len(CLASSES):
            found.append((raw.label, raw.name.rpartition("/")[2], raw.data))
    for label, name, data in list(found):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(data)).rotate(180).save(buffer, "PNG")
        found.append((label, f"{name}-turned", buffer.getvalue()))
    random.Random(0).shuffle(found)
    return [
        (label, f"{number:04d}-{name}.png", data)
        for number, (label, name, data) in enumerate(found)
    ]


def bring(folder: Path, files: dict[str, bytes]) -> None:
    """Makes the folder hold these files; those that are right already are not touched."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.glob("*/*.png")}
    for name in there.keys() - files.keys():
        there[name].unlink()
    for name, data in files.items():
        if name not in there or there[name].read_bytes() != data:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
