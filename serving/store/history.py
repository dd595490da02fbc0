"""The history of a model: what was published, rolled back, labelled and removed, and what follows.

history.jsonl holds one event a line. An event about a version that is not there, and was not
removed, never happened: a publish writes its event before the version appears. Standard library
only.
"""

import dataclasses
import datetime
import json
from collections.abc import Set
from pathlib import Path
from typing import Literal

from serving.store.files import read_plain
from serving.store.release import StoreError

Kind = Literal["publish", "rollback", "promote", "label", "unlabel", "remove"]
_CURRENT = ("publish", "rollback", "promote")
"""These make their version the current one."""
_MOST_BYTES = 16 * 2**20
"""Some 200,000 events."""


@dataclasses.dataclass(frozen=True)
class Event:
    """`time` is in ISO format, with its zone; `label` is empty unless the event is about one.

    `lineage` is that of a version which appears or goes: when it is gone, its model is still known.
    """

    event: Kind
    version: int
    time: str
    label: str = ""
    lineage: str = ""

    @classmethod
    def now(cls, event: Kind, version: int, label: str = "", lineage: str = "") -> "Event":
        """It happens at this moment."""
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        return cls(event, version, time, label, lineage)

    @property
    def moment(self) -> datetime.datetime:
        """`time` to compare with others."""
        return datetime.datetime.fromisoformat(self.time)


def read(path: Path) -> list[Event]:
    """All events, oldest first; none without a file. Raises StoreError when it is damaged."""
    try:
        lines = read_plain(path, _MOST_BYTES).decode().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    events = []
    for number, text in enumerate(lines, 1):
        try:
            fields = json.loads(text)
            event = Event(**{**fields, "version": int(fields["version"])})
            if not all(isinstance(of, str) for of in (event.event, event.label, event.lineage)):
                raise TypeError
            datetime.datetime.fromisoformat(event.time)
            events.append(event)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise StoreError(f"{path}, line {number}, is damaged: {text[:80]!r}.") from error
    return events


def write(events: list[Event]) -> str:
    """The text of history.jsonl."""
    rows = [{k: v for k, v in dataclasses.asdict(event).items() if v != ""} for event in events]
    return "".join(json.dumps(row) + "\n" for row in rows)


def removed(events: list[Event]) -> set[int]:
    """The versions that retention took away."""
    return {event.version for event in events if event.event == "remove"}


def currents(events: list[Event], known: Set[int]) -> list[Event]:
    """Those that made another of the `known` versions current, oldest first."""
    return [e for e in events if e.event in _CURRENT and e.version in known]


def line(events: list[Event], known: Set[int]) -> list[int]:
    """Versions that were current and were not rolled back from, oldest first, current last."""
    return _replayed(events, known)[0]


def rolled_back(events: list[Event], known: Set[int]) -> set[int]:
    """Versions that were rolled back from, and have not been made current again since."""
    return _replayed(events, known)[1]


def _replayed(events: list[Event], known: Set[int]) -> tuple[list[int], set[int]]:
    found: list[int] = []
    left: set[int] = set()
    for event in currents(events, known):
        if event.version in found:
            position = found.index(event.version)
            if event.event == "rollback":
                left.update(found[position + 1 :])
                del found[position:]
            else:
                del found[position]
        left.discard(event.version)
        found.append(event.version)
    return found, left


def labels(events: list[Event], known: Set[int]) -> dict[str, int]:
    """The labelled versions, by label."""
    found: dict[str, int] = {}
    for event in events:
        if event.event == "label" and event.version in known:
            found[event.label] = event.version
        elif event.event == "unlabel":
            found.pop(event.label, None)
    return found


def lineages(events: list[Event]) -> dict[int, str]:
    """The lineage of each version, where an event says it."""
    return {event.version: event.lineage for event in events if event.lineage}
