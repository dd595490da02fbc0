"""`python -m pipeline lineage RELEASE|FILE`: where a release, or an artifact found anywhere, comes
from; and `--image FILE`: which releases were trained or tested on an image.

Nothing here loads TensorFlow or PyTorch: it answers while one still remembers the question.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.base.refusal import ConfigError
from components.sources.source import SPLITS
from pipeline.commands import lineage_facts
from pipeline.commands.lineage_image import Asked, ask

WIDTH = 100
NOT_RECORDED = "not recorded"


def answer(names: list[str], root: Path, file: Path | None, images: bool, as_json: bool) -> None:
    """The command: `names` holds RELEASE or FILE; `file` is an image to look for instead.

    Raises ConfigError for a wrong command line, and what the others do.
    """
    if len(names) != (file is None) or (images and file is not None):
        raise ConfigError(
            f"Releases and files named: {len(names)}, expected RELEASE, FILE, or --image FILE "
            "alone."
        )
    if file is not None:
        image(file, root, as_json)
    else:
        lineage(names[0], root, as_json, images)


def lineage(
    name: str,
    root: Path,
    as_json: bool = False,
    images: bool = False,
    console: Console | None = None,
) -> None:
    """Prints what is recorded of the release that `name` stands for: a model (its current release),
    MODEL@VERSION, a release's directory or an artifact's file; as JSON, or its images alone as CSV.

    Raises ConfigError where it stands for none.
    """
    found = lineage_facts.find(name, root)
    rows = lineage_facts.images(found.release, root) if images else []
    try:
        facts = lineage_facts.told(found, root)
        words = told(facts)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        # A release's directory may come from anywhere.
        raise ConfigError(f"The manifest in {found.release.path} is damaged: {error!r}.") from error
    if as_json:
        if images:
            facts["every_image"] = [_image(row) for row in rows]
        _print_json(facts)
    elif images:
        named = any(row.name for row in rows)
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["split", "class", "sha256", *["name"] * named])
        for row in rows:
            writer.writerow([row.split, *map(_text, (row.label, row.sha256, *[row.name] * named))])
    else:
        out = _console(console)
        _print_rows(out, words)


def image(file: Path, root: Path, as_json: bool = False, console: Console | None = None) -> None:
    """Prints which releases of the store under `root` were made or judged with that image.

    Raises ConfigError where it is none.
    """
    asked = ask(file, root)
    if as_json:
        _print_json(asked.to_json())
        return
    out = _console(console)
    digests = asked.sha256, asked.pixels_sha256
    titles = "image", "SHA-256 of the file", "SHA-256 of its pixels"
    _print_rows(out, list(zip(titles, (str(asked.file), *digests))))
    if asked.places:
        named = any(place.name for place in asked.places)
        table = Table("model", "version", "", "split", "class", *["file then"] * named)
        for place in asked.places:
            state = ", ".join(["current"] * place.current + place.labels)
            cells = [place.model, str(place.version), state, place.split, place.label]
            cells += [place.name] * named
            table.add_row(*(Text(_text(cell)) for cell in cells))
        out.print(table)
    for sentence in sentences(asked):
        out.print(Text(sentence))


def sentences(asked: Asked) -> Iterator[str]:
    """What the table does not say."""
    if not asked.places:
        searched = f"the {asked.searched:,} searched" if asked.searched != 1 else "the one searched"
        if not asked.searched:
            searched = "there is none with an index of its images"
        yield f"No release was trained or tested on it ({searched})."
    if asked.without_index:
        yield f"Not known, as they kept no index of images: {', '.join(asked.without_index)}."
    if asked.damaged:
        yield f"Not known, as their index cannot be read: {', '.join(asked.damaged)}."


def told(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts of `lineage_facts.told` in words, in the order in which one asks for them."""
    rows: list[tuple[str, str]] = []
    if file := facts["file"]:
        rows += [
            ("file", f"{file['path']} ({file['format']}, {file['bytes']:,} bytes)"),
            ("SHA-256", file["sha256"]),
            ("state", f"{file['state']}: {file['why']}"),
        ]
    rows += [
        ("lineage id", facts["lineage"]),
        ("model", facts["model"]),
        ("version", _versions(facts)),
        ("release", facts["directory"]),
    ]
    # Of an artifact found elsewhere its own state counts first, and it is above.
    rows.append(("its files", facts["damage"] or "all as the manifest says"))
    rows += [
        ("framework", _known(facts["framework"])),
        ("formats", ", ".join(facts["formats"] or []) or NOT_RECORDED),
        ("run", _known(facts["run_id"])),
        ("created", _known(facts["created"])),
        *_settings(facts),
        ("commit", _commit(facts)),
        ("lock (SHA-256)", _known(facts["lock_sha256"])),
        ("code (SHA-256)", _known(facts["code_sha256"])),
        ("versions", _libraries(facts)),
        *_metrics(facts["metrics"] or {}),
        *_images(facts),
    ]
    return rows


def _versions(facts: dict[str, Any]) -> str:
    """This one, with what it is now, and where else the same model is."""
    own = "outside of the store" if facts["version"] is None else str(facts["version"])
    marks = ["current"] * facts["current"] + facts["labels"]
    words = f"{own} ({', '.join(marks)})" if marks else own
    this = facts["model"], facts["version"]
    others = [
        f"{of['model']}@{of['version']}" + " (current)" * of["current"]
        for of in facts["releases"]
        if (of["model"], of["version"]) != this
    ]
    return words + (f"; the same model is {', '.join(others)}" if others else "")


def _settings(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    config, changed = facts["configuration"], facts["changed"]
    if config is None:
        yield "configuration", NOT_RECORDED
        return
    if changed is None:
        source = config.get("data.source")
        yield "configuration", f"of {source}, no preset's: --json has all {len(config)} keys"
        return
    if not changed:
        yield "configuration", f"preset {facts['preset']}, unchanged"
        return
    yield "configuration", f"preset {facts['preset']} and:"
    for key, value in changed.items():
        yield "", f"{key}={_value(value)}"


def _value(value: Any) -> str:
    """As `run` takes it."""
    if value is None:
        return "null"
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def _commit(facts: dict[str, Any]) -> str:
    words = _known(facts["git_commit"])
    return words + (", and changes that were not committed" if facts["git_dirty"] else "")


def _libraries(facts: dict[str, Any]) -> str:
    named = {"Python": facts["python"]} if facts["python"] else {}
    found = named | (facts["packages"] or {})
    return ", ".join(f"{name} {version}" for name, version in found.items()) or NOT_RECORDED


def _metrics(metrics: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The numbers of the whole test split."""
    numbers = {k: v for k, v in metrics.items() if isinstance(v, float) and k != "example_count"}
    error = (metrics.get("calibration") or {}).get("error")
    numbers |= {} if error is None else {"calibration error": error}
    yield (
        "metrics",
        ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in numbers.items())
        or NOT_RECORDED,
    )


def _images(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    counts = facts["images"]
    if not counts:
        yield "images", NOT_RECORDED
        return
    totals = {split: sum(counts.get(split, {}).values()) for split in SPLITS}
    drawn = f" (trained on {facts['limit']:,} drawn of them)" if facts["limit"] else ""
    classes = len({name for split in counts.values() for name in split})
    yield (
        "images",
        (
            f"{totals['train']:,} train{drawn}, {totals['val']:,} val, {totals['test']:,} test of "
            f"{classes:,} classes"
        ),
    )
    where = f"{facts['directory']}/{facts['index']}; --images lists them"
    yield "their SHA-256", where if facts["index"] else NOT_RECORDED
    yield "source (SHA-256)", _known(facts["source_fingerprint"])


def _known(value: Any) -> str:
    return NOT_RECORDED if value is None else str(value)


def _image(row: Any) -> dict[str, str]:
    named = {"split": row.split, "class": row.label, "sha256": row.sha256}
    return named | ({"name": row.name} if row.name else {})


def _text(cell: str) -> str:
    """Names of folders and files may hold bytes that are no text, and what others wrote into a
    manifest may hold commands to a terminal."""
    text = cell.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


def _console(console: Console | None) -> Console:
    out = console or Console(highlight=False)
    if console is None and not out.is_terminal:
        out.width = WIDTH
    return out


def _print_rows(out: Console, rows: list[tuple[str, str]]) -> None:
    """One line for each, however long: paths and digests are there to be copied."""
    width = max(len(title) for title, _ in rows) + 2
    for title, words in rows:
        out.print(Text.assemble((title.ljust(width), "dim"), _text(words)), soft_wrap=True)
