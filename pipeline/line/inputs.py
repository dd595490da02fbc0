"""What a run or a search hands to the line beside its configuration: classes, a schema."""

from pathlib import Path

from components.base.refusal import ConfigError, DataRefused
from components.data.ingest import frozen_order
from components.gates.result import GateResult
from components.sources.source import Source
from pipeline.configuration.config import RunConfig
from serving.store.release import Release


def classes(config: RunConfig, source: Source, current: Release | None) -> tuple[str, ...]:
    """The classes in the order of the current release. Raises DataRefused when they are not the
    same and were not accepted: whoever calls the released model would read its answers wrongly."""
    if current is None:
        return source.labels
    released = current.contract()["labels"]
    added = sorted(set(source.labels) - set(released))
    missing = sorted(set(released) - set(source.labels))
    if (added or missing) and not config.data.accept_classes:
        change = f"new: {', '.join(added) or 'none'}; missing: {', '.join(missing) or 'none'}"
        expected = f"those of release {current.version}"
        gate = GateResult("classes", expected, change, passed=False)
        raise DataRefused(
            f"The classes are not those of release {current.version} of {config.name} ({change}): "
            "pass data.accept_classes=true to release them, or name=OTHER for another model.",
            gates=(gate.to_json(),),
        )
    return frozen_order(source.labels, released)


def schema_text(path: str | None) -> str:
    """The text of a curated schema, "" without one. Raises ConfigError when it is not one."""
    if path is None:
        return ""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        text = Path(path).expanduser().read_text()
        if not text_format.Parse(text, schema_pb2.Schema()).feature:
            raise ValueError("it names no feature")
    except (OSError, ValueError, text_format.ParseError) as error:
        raise ConfigError(
            f"Bad value for data.schema: {path!r} cannot be read ({error}): expected a TFDV schema "
            "in text format, such as data/schema.pbtxt of a release."
        ) from error
    return text
