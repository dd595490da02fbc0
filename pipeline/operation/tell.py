"""All who are told of a run's verdict, one after the other."""

from collections.abc import Iterator
from pathlib import Path

from components.base.config import Slice
from pipeline.configuration.notify import NotifyConfig
from pipeline.configuration.tracking import TrackingConfig
from pipeline.operation.notify import notify
from pipeline.operation.track import track


class Told(Slice):
    """The part of a run's configuration that says who."""

    notify: NotifyConfig = NotifyConfig()
    tracking: TrackingConfig = TrackingConfig()


def tell(told: Told, directory: Path) -> Iterator[str]:
    """Tells everyone of the verdict in `directory`; yields a sentence for each who could not be."""
    yield from notify(told.notify, directory)
    yield from track(told.tracking, directory)
