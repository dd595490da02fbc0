"""What a run does once its verdict is written, whatever that is; none of it changes the verdict."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.configuration.runs import RunsConfig
from pipeline.operation.cleaning import clean
from pipeline.operation.tell import Told, tell
from pipeline.outcome.verdict import Verdict


class Afterwards(Told):
    """The parts of a run's configuration that say so."""

    runs: RunsConfig = RunsConfig()


def follow(config: Afterwards, verdict: Verdict, directory: Path) -> Iterator[str]:
    """Tells who is to be told and cleans up behind earlier runs; yields a sentence for whatever
    failed. `directory` is the run's."""
    yield from tell(config, directory)
    # Where nothing was done, there are no new artifacts either.
    root, ran = directory.parent.parent, not verdict.repeated
    yield from clean(root, config.runs, verdict.name, artifacts=ran)
