"""`python -m pipeline tune PRESET`: a search for hyperparameters, from command to `best.args`.

The data come from the line's own steps, up to the augmentation plan and with their cache; the
trials are `pipeline/search/search.py`'s. Everything is under `<root>/tune/<name>-<framework>/`.
"""

import hashlib
import json
import shlex
import sys
from pathlib import Path

from rich.table import Table
from rich.text import Text

from components.base import atomic, disk
from components.base.config import json_slice
from components.base.frameworks import IMPORTED
from components.base.process import StepFailed, warm_processes
from components.base.refusal import ConfigError, DataRefused
from components.base.without import OF_TFX, without
from components.networks.architectures import architecture_of
from components.sources.open_source import listed_once, open_source
from components.sources.source import Source
from pipeline.configuration.config import RunConfig, root_path
from pipeline.configuration.configure import configure
from pipeline.configuration.fitting import check_classes, check_searched
from pipeline.configuration.overrides import parse_overrides
from pipeline.line import step_modules
from pipeline.line.inputs import classes, schema_text
from pipeline.line.interruption import Interrupted, interruptible
from pipeline.line.output_root import check_outside, locked, writable
from pipeline.line.scratch import scratch
from pipeline.line.steps import Outputs
from pipeline.outcome.terminal import Terminal, short
from pipeline.outcome.verdict import EXIT_OK
from pipeline.search.search import Outcome, Search
from pipeline.search.search_space import Space, left_out, search_space
from serving.store.store import Store

BEST = "best.args"
_STEPS = ("ingest", "data_gate", "transform", "pack", "augment", "features")
_SHOWN = 5  # trials in the table at the end


@listed_once()
def tune(preset: str, arguments: list[str]) -> int:
    """Searches, writes `best.args` and returns the exit code.

    Raises ConfigError (2), DataRefused (4), Locked (75), and StepFailed (1) when trials fail.
    """
    overrides = parse_overrides(arguments)
    config = configure(preset, overrides)
    space = search_space(config)
    source, root = open_source(config.data), root_path(config)
    check_searched(config, check_classes(config, source.labels))
    check_outside(root, config.data.source)
    schema = schema_text(config.data.schema_path)
    with disk.explained(root), locked(writable(root)), scratch(root):
        directory = root / "tune" / f"{config.name}-{config.tune.framework}"
        directory.mkdir(parents=True, exist_ok=True)
        with Terminal(directory / "log.txt") as terminal, interruptible():
            try:
                terminal.show(_heading(config, directory))
                for line in left_out(config, space):
                    terminal.say(line)
                terminal.waiting("looking at the images")
                found, data = prepare(config, source, schema, root, directory, terminal)
                step = f"train_{config.tune.framework}"
                code = step_modules.code(step, config.model.architecture)
                search = Search(
                    directory, config, space, found["arrays"], found["plan"], data, code,
                    found.get("features"),
                )  # fmt: skip
                with warm_processes((IMPORTED[config.tune.framework],)):
                    _search(search, terminal)
                write_best(search, preset, overrides, directory / BEST)
                python, best = short(Path(sys.executable)), shlex.quote(short(directory / BEST))
                command = f"{python} -m pipeline run {shlex.quote(preset)} @{best}"
                terminal.show(Text(f"\nTry next:\n  {command}"))
            except Interrupted as error:
                line = f"Interrupted by {error}: the same command goes on."
                terminal.show(Text(line, "bold red"))
                return error.exit_code
    return EXIT_OK


def _heading(config: RunConfig, directory: Path) -> Text:
    trials, framework = config.tune.trials, config.tune.framework
    return Text.assemble(
        ("Darkroom", "bold"),
        f" search of {trials} trials, {config.name} with {framework}; log in "
        f"{short(directory / 'log.txt')}",
    )


def prepare(
    config: RunConfig,
    source: Source,
    schema: str,
    root: Path,
    directory: Path,
    terminal: Terminal,
) -> tuple[dict[str, Path], str]:
    """The directories `arrays`, `plan` and, for a pretrained network, `features`; and what tells
    these images from others.

    They are the line's own, by the same steps and from the same cache; where nothing that they
    depend on has changed since the last search, they are taken from there without starting TFX.
    """
    current = Store(root / "serving").current(config.name)
    images = source.fingerprint()
    labels = classes(config, source, current)
    data = _digest(images, labels, json_slice(config.data, {"verify"}), json_slice(config.image))
    key = _digest(
        data, schema, current.version if current else 0, json_slice(config.data_gate),
        json_slice(config.augment), config.model.architecture, *map(step_modules.code, _STEPS),
    )  # fmt: skip
    file = directory / "prepared.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    found = {name: Path(path) for name, path in known.items() if name != "key"}
    if known.get("key") != key or not all(path.is_dir() for path in found.values()):
        plan = {"source": images, "labels": labels, "schema": schema, "baseline": current}
        found = _run_steps(config, plan, terminal)
        known = {"key": key} | {name: str(path) for name, path in found.items()}
        atomic.write(file, json.dumps(known, indent=1) + "\n")
    return found, data


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _run_steps(config: RunConfig, plan: dict, terminal: Terminal) -> dict[str, Path]:
    terminal.say("starting TFX")
    with without(*OF_TFX):
        from pipeline.line import dag, runner

    wanted = {"arrays": "pack", "plan": "augment", "features": "features"}
    if architecture_of(config.model.architecture, len(plan["labels"])).backbone is None:
        del wanted["features"]
    pipeline = dag.build(config, run_id="search", **plan)
    steps, error = runner.execute(
        pipeline, terminal.step_started, terminal.step_finished, until=list(wanted.values())[-1]
    )
    outputs = Outputs(steps)
    found = {name: outputs.directory(step, name) for name, step in wanted.items()}
    if isinstance(error, (DataRefused, ConfigError, Interrupted)):
        raise error
    if error is not None or None in found.values():
        last = f"step {steps[-1].name} failed" if steps else "TFX did not start"
        raise StepFailed(f"The images could not be prepared: {last}: {error}") from error
    return {name: path for name, path in found.items() if path is not None}


def _search(search: Search, terminal: Terminal) -> None:
    known = search.outcomes()
    total = search.config.tune.trials
    if known:
        terminal.say(f"{len(known)} of {total} trials are known from before")
    best = max((o.accuracy for o in known if o.accuracy is not None), default=-1.0)
    count = len(known)

    def ended(outcome: Outcome) -> None:
        nonlocal best, count
        count += 1
        accuracy = -1.0 if outcome.accuracy is None else outcome.accuracy
        better, best = accuracy > best, max(best, accuracy)
        terminal.show(trial_line(outcome, f"{count}/{total}", search.space, better))

    search.run(ended, terminal.waiting)
    terminal.waiting("")
    shown = search.best(_SHOWN)
    if not shown:
        raise StepFailed(
            f"None of {total} trials came to its end: expected one; narrow tune.space (lower "
            "learning rates) or look at the log."
        )
    terminal.show(best_table(shown, search.space))


def trial_line(outcome: Outcome, position: str, space: Space, better: bool) -> Text:
    """A trial in one line: where it stands, its result, its values."""
    if outcome.accuracy is not None:
        result = f"val_accuracy {outcome.accuracy:.4f}"
    else:
        result = "failed" if outcome.error else f"ended at epoch {outcome.epochs}"
    return Text.assemble(
        f"  trial {position:<7}",
        (f"{result:<21}", "bold green" if better else ""),
        f"{outcome.seconds:>6.1f} s   ",
        (values(outcome, space), "dim"),
        (f"  {outcome.error}" if outcome.error else "", "red"),
    )


def values(outcome: Outcome, space: Space) -> str:
    """The values of the trial's recipe that were searched: `sgd, learning_rate 0.0123, ...`."""
    parts = []
    for name in space:
        value = getattr(outcome.train, name)
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)
        parts.append(shown if isinstance(value, str) else f"{name} {shown}")
    return ", ".join(parts)


def best_table(best: list[Outcome], space: Space) -> Table:
    """The best trials, the best first, with the numbers that their folders end with."""
    table = Table("trial", title="The best trials, by accuracy on the validation split")
    for name in ("accuracy", "loss", "time"):
        table.add_column(name, justify="right")
    table.add_column("values", overflow="fold")
    for outcome in best:
        table.add_row(
            f"{outcome.number:04d}",
            f"{outcome.accuracy:.4f}",
            f"{outcome.loss:.4f}",
            f"{outcome.seconds:.1f} s",
            values(outcome, space),
        )
    return table


def write_best(search: Search, preset: str, overrides: dict[str, str], path: Path) -> None:
    """The best trial's recipe as a file of overrides, with those that the search was given."""
    (best,) = search.best(1)
    given = {k: v for k, v in overrides.items() if not k.startswith("tune.")}
    recipe, base = best.train.model_dump(mode="json"), search.config.train.model_dump(mode="json")
    found = {
        f"train.{name}": str(value)
        for name, value in recipe.items()
        if name in search.space or value != base[name]
    }
    lines = [
        f"# val_accuracy {best.accuracy:.4f} with {search.config.tune.framework}, the best of "
        f"{len(search.outcomes())} trials. Of the preset or source:",
        f"# {preset}",
        *(f"{key}={value}" for key, value in (given | found).items()),
    ]
    atomic.write(path, "\n".join(lines) + "\n")
