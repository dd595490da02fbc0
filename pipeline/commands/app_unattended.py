"""The commands by which the line runs with nobody there: on a schedule, in a search, elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.arguments import Overrides, Preset

app = typer.Typer()


@app.command()
def schedule(
    preset: Preset,
    expression: Annotated[str, typer.Argument(metavar='"0 3 * * *"', help="when, as for cron")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[install=cron|systemd] [key=value ...]", help="as `run` takes them, @FILE"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="folder for the files (default: they are printed)")
    ] = None,
) -> None:
    """Start a run by itself: prints files for cron, systemd and Kubernetes, or installs one.

    Exit codes: 0 printed or installed, 2 configuration, 4 refused data.
    """
    from pipeline.commands.schedule import schedule as plan

    typer.echo(plan(preset, expression, words or [], output))


@app.command()
def unschedule(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|PRESET [root=PATH]",
            help="name of the schedule (of its release), or preset; only of that output root",
        ),
    ],
) -> None:
    """Remove a schedule from the crontab or systemd, and nothing else."""
    from pipeline.commands.schedule import unschedule as remove
    from pipeline.commands.words import named, one

    names, values = named(words, "root")
    typer.echo(remove(one(names, "a schedule"), values.get("root")))


@app.command()
def schedules(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[root=PATH]", help="only of that output root")
    ] = None,
) -> None:
    """List the schedules of this user, with the next three times of each."""
    from pipeline.commands.schedule import schedules as tabulate
    from pipeline.commands.words import named, nothing_else

    names, values = named(words or [], "root")
    nothing_else(names, "root")
    tabulate(values.get("root"))


@app.command()
def tune(preset: Preset, overrides: Overrides = None) -> None:
    """Search for better hyperparameters: tune.trials=20 tune.framework=torch tune.space={...}.

    The same command goes on where it was interrupted. Exit codes: 0 done, 1 internal error,
    2 configuration, 4 refused data, 75 another run holds the output root, 130 Ctrl-C, 143 SIGTERM.
    """
    from pipeline.commands.tune import tune as search

    raise typer.Exit(search(preset, overrides or []))


@app.command("compile")
def compile_line(
    target: Annotated[str, typer.Argument(help="kubeflow")],
    preset: Preset,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option(help="YAML to write (default: NAME-kubeflow.yaml under root)")
    ] = None,
    image: Annotated[str, typer.Option(help="container image of the steps")] = "darkroom:0.1.0",
) -> None:
    """Write the line's DAG as a Kubeflow Pipelines v2 specification: compile-only, never run.

    Exit codes: 0 written, 1 internal error, 2 configuration, or kfp (an extra) is not installed,
    4 refused data.
    """
    from pipeline.commands.compile import compile_line as write
    from pipeline.line.kubeflow import COMPILE_ONLY

    typer.echo(write(target, preset, overrides or [], output, image))
    typer.echo(COMPILE_ONLY)
