"""The history of a model: what was published, rolled back and labelled, and what follows from it.

history.jsonl holds one event a line. An event whose version is not there never happened: a publish
writes it before the version appears. Standard library only.
"""

import dataclasses
import datetime
import json
from collections.abc import Set
from pathlib import Path
from typing import Literal

from serving.store.files import read_plain
from serving.store.release import StoreError

Kind = Literal["publish", "rollback", "label", "unlabel"]
_CURRENT = ("publish", "rollback")
"""These make their version the current one."""
_MOST_BYTES = 16 * 2**20
"""Some 200,000 events."""


@dataclasses.dataclass(frozen=True)
class Event:
    """`time` is in ISO format, with its zone; `label` is empty unless the event is about one."""

    event: Kind
    version: int
    time: str
    label: str = ""

    @classmethod
    def now(cls, event: Kind, version: int, label: str = "") -> "Event":
        """It happens at this moment."""
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(event, version, time, label)

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
            if not (isinstance(event.event, str) and isinstance(event.label, str)):
                raise TypeError("expected text")
            datetime.datetime.fromisoformat(event.time)
            events.append(event)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise StoreError(f"{path}, line {number}, is damaged: {text[:80]!r}.") from error
    return events


def write(events: list[Event]) -> str:
    """The text of history.jsonl."""
    rows = [{k: v for k, v in dataclasses.asdict(event).items() if v != ""} for event in events]
    return "".join(json.dumps(row) + "\n" for row in rows)


def currents(events: list[Event], present: Set[int]) -> list[Event]:
    """Those that made another of the `present` versions current, oldest first."""
    return [e for e in events if e.event in _CURRENT and e.version in present]


def line(events: list[Event], present: Set[int]) -> list[int]:
    """Versions that were current and were not rolled back from, oldest first, current last."""
    found: list[int] = []
    for event in currents(events, present):
        if event.version in found:
            del found[found.index(event.version) :]
        found.append(event.version)
    return found


def labels(events: list[Event], present: Set[int]) -> dict[str, int]:
    """The labelled versions, by label."""
    found: dict[str, int] = {}
    for event in events:
        if event.event == "label" and event.version in present:
            found[event.label] = event.version
        elif event.event == "unlabel":
            found.pop(event.label, None)
    return found
