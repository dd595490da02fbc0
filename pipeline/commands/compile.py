"""`python -m pipeline compile kubeflow`: the line's DAG for another orchestrator."""

import tempfile
from pathlib import Path

from components.base import atomic
from components.base.refusal import ConfigError
from components.sources.open_source import listed_once, open_source
from pipeline.commands.preview import writable_file
from pipeline.configuration.config import root_path
from pipeline.configuration.configure import configure
from pipeline.configuration.fitting import check_classes
from pipeline.configuration.overrides import parse_overrides
from pipeline.line.inputs import schema_text
from pipeline.line.kubeflow import check_kfp, specification
from pipeline.outcome.terminal import Terminal

TARGETS = ("kubeflow",)


@listed_once()
def compile_line(
    target: str, preset: str, arguments: list[str], output: Path | None, image: str
) -> Path:
    """Writes the specification, to `NAME-kubeflow.yaml` under the output root by default; returns
    where. Raises ConfigError and DataRefused as a run does."""
    if target not in TARGETS:
        raise ConfigError(f"Unknown target {target!r}: expected {' or '.join(TARGETS)}.")
    config = configure(preset, parse_overrides(arguments))
    check_kfp()
    source = open_source(config.data)
    check_classes(config, source.labels)
    schema = schema_text(config.data.schema_path)
    output = writable_file(output or root_path(config) / f"{config.name}-{target}.yaml")
    with tempfile.TemporaryDirectory(prefix="darkroom-") as work:
        with Terminal(Path(work) / "log.txt") as terminal:
            terminal.waiting("starting TFX")
            text = specification(config, source, schema, image)
    atomic.write(output, text)
    return output
