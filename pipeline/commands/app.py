"""Command line: `python -m pipeline run PRESET [key=value ...]`.

Nothing heavy is imported before a run needs it: help, list and show answer at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import app_runs, app_unattended
from pipeline.commands.arguments import Overrides, Preset

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Darkroom: from images to a gated, verified, served release.",
)


@app.command()
def run(preset: Preset, overrides: Overrides = None) -> None:
    """Run the whole line: ingest, train, judge, export, verify, release.

    Exit codes: 0 released or unchanged, 1 internal error, 2 configuration, 3 refused by a gate,
    4 refused data, 75 another run holds the output root, 130 Ctrl-C, 143 SIGTERM.
    """
    from pipeline.commands.run import run as run_line

    raise typer.Exit(run_line(preset, overrides or []))


@app.command("list")
def list_presets() -> None:
    """List the presets."""
    from pipeline.configuration.presets import PRESETS

    for name, function in PRESETS.items():
        first, *_ = (function.__doc__ or "").partition("\n")
        typer.echo(f"{name:<14}{first}")
    for name in ("folder:PATH", "tar:PATH", "zip:PATH"):
        typer.echo(f"{name:<14}Your own images, one folder per class.")
    typer.echo(f"{'tfds:NAME':<14}Any TFDS set with images and a class (data.label=NAME).")


@app.command()
def show(preset: Preset, overrides: Overrides = None) -> None:
    """Print every key of a preset with its value, in the form that `run` takes; of your own images
    also what was inferred and why."""
    from components.sources.open_source import listed_once
    from pipeline.configuration.configure import configure
    from pipeline.configuration.inferred import why
    from pipeline.configuration.overrides import as_arguments, parse_overrides

    with listed_once():
        config = configure(preset, parse_overrides(overrides or []))
        for line in (*(f"# {words}" for words in why(preset, config)), *as_arguments(config)):
            typer.echo(line)


@app.command()
def summary(
    preset: Preset,
    overrides: Overrides = None,
    classes: Annotated[
        int | None, typer.Option(min=2, help="number of classes (default: the source's)")
    ] = None,
) -> None:
    """Print the frameworks' networks layer by layer: shapes, parameters, multiply-accumulates.

    Exit codes: 0 printed, 1 internal error, 2 configuration, 4 refused data.
    """
    from pipeline.commands.summary import summarise

    summarise(preset, overrides or [], classes)


@app.command()
def preview(
    preset: Preset,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option(help="PNG to write (default: preview.png under root)")
    ] = None,
) -> None:
    """Draw what augmentation makes of one image per class, without a run.

    Exit codes: 0 written, 1 internal error, 2 configuration, 4 refused data.
    """
    from pipeline.commands.preview import preview as draw

    typer.echo(draw(preset, overrides or [], output))


app.add_typer(app_runs.app)
app.add_typer(app_unattended.app)


def main() -> None:
    """Runs the command line; an expected error is one line on standard error."""
    from components.base.console import flush_standard_streams
    from components.base.process import StepFailed
    from components.base.refusal import Refusal
    from pipeline.commands.words import refuse_option

    try:
        refuse_option(sys.argv[1:], "root", "count")
        app()
    except SystemExit as end:
        if isinstance(end.code, int) and end.code > 128:
            # After a signal: what Beam was doing in other threads must not hold the process.
            flush_standard_streams()
            os._exit(end.code)
        raise
    except (Refusal, StepFailed) as error:
        typer.echo(f"darkroom: {error}", err=True)
        sys.exit(error.exit_code)
