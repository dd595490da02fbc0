"""Command line: `python -m pipeline run PRESET [key=value ...]`.

Nothing heavy is imported before a run needs it: help, list and show answer at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Darkroom: from images to a gated, verified, served release.",
)


@app.command()
def run(
    preset: Annotated[str, typer.Argument(help="a preset, or folder:, tar:, zip:PATH, tfds:NAME")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., @FILE")] = None,
) -> None:
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
def show(
    preset: Annotated[str, typer.Argument(help="a preset, or folder:, tar:, zip:PATH, tfds:NAME")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., @FILE")] = None,
) -> None:
    """Print every key of a preset with its value, in the form that `run` takes; of your own images
    also what was inferred and why."""
    from components.sources.open_source import listed_once
    from pipeline.configuration.inferred import why
    from pipeline.configuration.overrides import as_arguments, parse_overrides
    from pipeline.configuration.presets import configure

    with listed_once():
        config = configure(preset, parse_overrides(overrides or []))
        for line in (*(f"# {words}" for words in why(preset, config)), *as_arguments(config)):
            typer.echo(line)


@app.command()
def summary(
    preset: Annotated[str, typer.Argument(help="a preset, or folder:, tar:, zip:PATH, tfds:NAME")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., @FILE")] = None,
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
    preset: Annotated[str, typer.Argument(help="a preset, or folder:, tar:, zip:PATH, tfds:NAME")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., @FILE")] = None,
    output: Annotated[
        Path | None, typer.Option(help="PNG to write (default: preview.png under root)")
    ] = None,
) -> None:
    """Draw what augmentation makes of one image per class, without a run.

    Exit codes: 0 written, 1 internal error, 2 configuration, 4 refused data.
    """
    from pipeline.commands.preview import preview as draw

    typer.echo(draw(preset, overrides or [], output))


@app.command()
def compare(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN ... [root=PATH]", help="run ids, their beginnings, latest, or paths"
        ),
    ],
) -> None:
    """Tabulate two or more runs, and the settings in which they differ."""
    from pipeline.commands.compare import compare as tabulate
    from pipeline.commands.words import named, root_of

    names, values = named(words, "root")
    tabulate(names, root_of(values))


@app.command()
def runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[root=PATH] [count=N]", help="output root (out), the newest so many (20)"
        ),
    ] = None,
) -> None:
    """Tabulate the runs: when, of what, verdict, release, accuracy, time and sentence."""
    from pipeline.commands.runs import runs as tabulate
    from pipeline.commands.words import named, nothing_else, root_of, whole_number

    names, values = named(words or [], "root", "count")
    nothing_else(names, "root", "count")
    tabulate(root_of(values), whole_number(values, "count", 20))


@app.command()
def status(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[root=PATH]", help="output root (out)")
    ] = None,
) -> None:
    """Say whether a run is going on, how the last one ended, and what is released."""
    from pipeline.commands.runs import status as tell
    from pipeline.commands.words import named, nothing_else, root_of

    names, values = named(words or [], "root")
    nothing_else(names, "root")
    tell(root_of(values))


@app.command()
def steps(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[count=5] [name=NAME] [root=PATH]")
    ] = None,
) -> None:
    """Tabulate what each step took in the last runs, in seconds and memory, beside its median."""
    from pipeline.commands.steps import steps as tabulate

    tabulate(words or [])


@app.command()
def gc(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[keep=10] [artifacts=3] [root=PATH]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Remove what older runs left and neither a kept run, a release nor the next run needs.

    Runs do so themselves (runs.keep, runs.artifacts). Exit codes: 0 done, 2 configuration,
    75 a run holds the output root.
    """
    from pipeline.commands.gc import gc as collect

    collect(words or [], dry_run)


@app.command()
def explain(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [root=PATH]", help="a run's id, its beginning, latest, or a path"
        ),
    ],
) -> None:
    """Print a run's verdict in full: every gate, model and artifact, and what to do next."""
    from pipeline.commands.explain import explain as tell
    from pipeline.commands.words import named, one, root_of

    names, values = named(words, "root")
    tell(one(names, "a run"), root_of(values))


@app.command()
def gate(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [gates.KEY=VALUE ...] [root=PATH]",
            help="a run's id, its beginning, latest, or a path; limits",
        ),
    ],
) -> None:
    """Judge a finished run again by other limits, in seconds; nothing is changed.

    Exit codes: 0 a model could be released, 2 configuration, 3 none could.
    """
    from pipeline.commands.gate import gate as judge
    from pipeline.commands.words import apart, one, root_of, taken

    rest, values = taken(words, "root")
    names, limits = apart(rest)
    raise typer.Exit(judge(one(names, "a run"), limits, root_of(values)))


@app.command()
def lineage(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RELEASE|FILE [root=PATH]",
            help="MODEL, MODEL@VERSION, a release's directory, or an artifact wherever it lies",
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="which releases were trained or tested on this image")
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="only every image's split, class and SHA-256, as CSV")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="everything, as JSON")] = False,
) -> None:
    """Print where a release or an artifact comes from: configuration, commit, lock, code, images.

    Exit codes: 0 printed, also where no release has the image; 2 unknown, damaged or no artifact.
    """
    from pipeline.commands.lineage import answer
    from pipeline.commands.words import named, root_of

    names, values = named(words or [], "root")
    answer(names, root_of(values), image, images, as_json)


@app.command()
def schedule(
    preset: Annotated[str, typer.Argument(help="a preset, or folder:, tar:, zip:PATH, tfds:NAME")],
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
def tune(
    preset: Annotated[str, typer.Argument(help="a preset, or folder:, tar:, zip:PATH, tfds:NAME")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., @FILE")] = None,
) -> None:
    """Search for better hyperparameters: tune.trials=20 tune.framework=torch tune.space={...}.

    The same command goes on where it was interrupted. Exit codes: 0 done, 1 internal error,
    2 configuration, 4 refused data, 75 another run holds the output root, 130 Ctrl-C, 143 SIGTERM.
    """
    from pipeline.commands.tune import tune as search

    raise typer.Exit(search(preset, overrides or []))


@app.command("compile")
def compile_line(
    target: Annotated[str, typer.Argument(help="kubeflow")],
    preset: Annotated[str, typer.Argument(help="a preset, or folder:, tar:, zip:PATH, tfds:NAME")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., @FILE")] = None,
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
