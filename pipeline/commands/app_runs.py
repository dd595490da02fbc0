"""The commands that look at what runs left, and the one that clears it away."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


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
