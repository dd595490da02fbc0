"""What a run does once its verdict is written, whatever that is; none of it changes the verdict."""

from collections.abc import Iterator
from pathlib import Path

from components.base.config import Slice
from pipeline.configuration.notify import NotifyConfig
from pipeline.configuration.overrides import restored
from pipeline.configuration.runs import RunsConfig
from pipeline.operation.cleaning import clean
from pipeline.operation.notify import notify
from pipeline.outcome.verdict import Verdict


class Afterwards(Slice):
    """The parts of a run's configuration that say so."""

    notify: NotifyConfig = NotifyConfig()
    runs: RunsConfig = RunsConfig()


def stated(overrides: dict[str, str]) -> Afterwards:
    """Of a command line whose other keys nobody could make sense of."""
    own = {k: v for k, v in overrides.items() if k.partition(".")[0] in Afterwards.model_fields}
    return restored(Afterwards, own)


def follow(config: Afterwards, verdict: Verdict, directory: Path) -> Iterator[str]:
    """Tells who is to be told and cleans up behind earlier runs; yields a sentence for whatever
    failed. `directory` is the run's."""
    yield from notify(config.notify, directory)
    # Where nothing was done, there are no new artifacts either.
    root, ran = directory.parent.parent, not verdict.repeated
    yield from clean(root, config.runs, verdict.name, artifacts=ran)
