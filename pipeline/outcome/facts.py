"""What the report tells of a verdict, as tables: gates, models, artifacts, lineage.

A verdict is read as the JSON that it is written as. Older ones lack keys that later ones have.
"""

import platform
from typing import Any

from export.release import provenance
from pipeline.outcome import gate_words
from pipeline.outcome.words import Table, artifact_state, computed, megabytes, number

HEADINGS = {
    "released": "Released",
    "unchanged": "Unchanged",
    "refused": "Refused",
    "failed": "Failed",
}


def heading(verdict: dict[str, Any]) -> str:
    """`Released: version 3 of digits`."""
    words = HEADINGS.get(verdict["status"], verdict["status"].capitalize())
    if verdict["version"] is not None and not verdict["exit_code"]:
        return f"{words}: version {verdict['version']} of {verdict['name']}"
    return f"{words}: {verdict['name']}"


def gates(verdict: dict[str, Any], passed: bool) -> list[dict[str, str]]:
    """The gates that were passed, or those that were not, each once for all batch sizes that gave
    the same."""
    same: dict[tuple, list[dict]] = {}
    for gate in verdict["gates"]:
        if gate["passed"] is passed:
            what = gate_words.subject(gate), gate["name"], gate.get("scope")
            same.setdefault((*what, gate["expected"], gate["received"]), []).append(gate)
    return [
        {
            "title": gate_words.title(gate, *others),
            "received": computed(gate["received"]),
            "expected": computed(gate["expected"]),
            # Most name it where they say what was expected.
            "settings": ", ".join(
                key for key in gate_words.settings(gate) if key not in gate["expected"]
            ),
        }
        for gate, *others in same.values()
    ]


def models(verdict: dict[str, Any]) -> Table | None:
    """A column for each framework: what it reached on the test split, and how it was trained."""
    columns = verdict["models"]
    if not columns:
        return None
    rows: dict[str, list[str]] = {}
    for model in columns.values():
        metrics = model.get("metrics") or {}
        interval = metrics.get("interval")
        top = {n: v for n, v in metrics.items() if n.startswith("top_")}
        cells = {
            "gates": "passed" if model.get("blessed") else "not passed",
            "test accuracy": number(model.get("accuracy")),
            "95% interval": " to ".join(map(number, interval)) if interval else "",
            **{name.replace("_", " "): number(value) for name, value in top.items()},
            "loss": number(model.get("loss")),
            "parameters": number(model.get("parameters"), ",d"),
            "best epoch": f"{model.get('best_epoch', '?')} of {model.get('epochs', '?')}",
            "training": f"{number(model.get('train_seconds'), ',.1f')} s",
            "images/s": number(model.get("images_per_second"), ",.0f"),
            "device": model.get("device", ""),
        }
        for title, cell in cells.items():
            rows.setdefault(title, []).append(cell)
    kept = [(title, *cells) for title, cells in rows.items() if any(cells)]
    return Table(("", *columns), kept)


def comparisons(verdict: dict[str, Any]) -> Table | None:
    """Each model beside the releases before it."""
    rows = []
    for framework, found in (verdict.get("comparisons") or {}).items():
        accuracy = verdict["models"].get(framework, {}).get("accuracy")
        for other in found:
            only = [other.get("only_new_right"), other.get("only_old_right")]
            rows.append(
                (
                    framework,
                    number(accuracy),
                    f"{other['kind']} release, version {other['version']}",
                    number(other.get("accuracy")),
                    other.get("source") or "",
                    number(other.get("released_accuracy")),
                    *("not paired" if count is None else f"{count:,}" for count in only),
                )
            )
    head = (
        "model", "accuracy", "compared with", "its accuracy", "measured", "when it was released",
        "only the new one right", "only the release right",
    )  # fmt: skip
    return Table(head, rows, range(5, 8)) if rows else None


def artifacts(verdict: dict[str, Any]) -> list[tuple[str, Table, list[str]]]:
    """(framework, table, why some are left out), the champion's first."""
    frameworks = dict.fromkeys(row["model"] for row in verdict["artifacts"])
    found = []
    for framework in sorted(frameworks, key=lambda name: name != verdict["champion"]):
        own = [row for row in verdict["artifacts"] if row["model"] == framework]
        states = [artifact_state(row) for row in own]
        table = Table(
            ("artifact", "size", "accuracy", "same top-1", "largest difference",
             "ms for 1 image, p50 / p99", "ms for 32, p50 / p99", "state"),
            [(*_artifact(row), state) for row, state in zip(own, states)],
            range(1, 7),
            [state.replace(" ", "-") for state in states],
        )  # fmt: skip
        reasons = [computed(row["left_out"]) for row in own if row.get("left_out")]
        found.append((framework, table, reasons))
    return found


def _artifact(row: dict[str, Any]) -> tuple[str, ...]:
    latency = row.get("latency") or {}
    size = row.get("bytes")
    return (
        row.get("title") or row["artifact"],
        number(size and size / 1e6, ".2f") + (" MB" if size else ""),
        number(row.get("accuracy")),
        number(row.get("agreement"), ".2%"),
        number(row.get("max_difference"), ".1e"),
        *(_times(latency.get(batch)) for batch in ("1", "32")),
    )


def _times(row: dict[str, float] | None) -> str:
    if not row:
        return "not measured"
    return f"{number(row.get('p50'), '.2f')} / {number(row.get('p99'), '.2f')}"


def robustness(verdict: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Accuracy by corruption and framework, that on the images as they are first."""
    found: dict[str, dict[str, float | None]] = {}
    for framework, model in verdict["models"].items():
        measured = (model.get("metrics") or {}).get("robustness")
        if measured:
            found.setdefault("as they are", {})[framework] = model.get("accuracy")
            for name, value in measured.items():
                found.setdefault(name.replace("_", " "), {})[framework] = value
    return found


def slices(verdict: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Accuracy by framework on the test images of one kind, and how many these are."""
    found: dict[str, dict[str, float | None]] = {}
    for framework, model in verdict["models"].items():
        for row in (model.get("metrics") or {}).get("slices") or []:
            images = f"{row['images']:,} image{'s' if row['images'] != 1 else ''}"
            name = f"{row['feature'].replace('_', ' ')} {row['value']}, {images}"
            found.setdefault(name, {})[framework] = row["accuracy"]
    return found


def lineage(verdict: dict[str, Any]) -> list[tuple[str, str]]:
    """Where the run and its models come from: ids and versions."""
    exported = (verdict.get("contract") or {}).get("models", {})
    return [
        ("run", verdict["run_id"]),
        ("preset", verdict["preset"]),
        *((f"lineage of {framework}", of["lineage"]) for framework, of in exported.items()),
        ("fingerprint of source, configuration and code", verdict["fingerprint"] or "none"),
        ("versions", ", ".join(f"{name} {of}" for name, of in versions().items())),
    ]


def versions() -> dict[str, str]:
    """Of Python and of the libraries that models are made with, as far as they are installed."""
    return {"Python": platform.python_version()} | provenance.versions()


def steps(verdict: dict[str, Any]) -> Table | None:
    """How long each step took, how much memory, and why it ran."""
    rows = [(step["name"], *_taken(step), step["why"]) for step in verdict["steps"]]
    head = ("step", "time", "peak memory", "why it ran")
    return Table(head, rows, range(1, 3)) if rows else None


def _taken(step: dict[str, Any]) -> tuple[str, str]:
    """Seconds and memory; older runs did not measure the latter."""
    if step["cached"]:
        return "cached", ""
    memory = step.get("peak_memory")
    return f"{step['seconds']:.1f} s", megabytes(memory) if memory else ""
