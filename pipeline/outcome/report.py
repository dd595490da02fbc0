"""The run's page: verdict, models, artifacts, curves, data and steps in one HTML file."""

import base64
import io
from pathlib import Path
from typing import Any

import jinja2

from components.base import atomic
from pipeline.outcome.verdict import Verdict

FINDINGS = {
    "quarantined": "Quarantined",
    "relabelled": "Another class than in the current release",
    "duplicate": "Duplicates dropped",
    "conflicting_label": "Same pixels under several classes",
    "near_duplicate": "Look-alikes across splits",
    "moved": "Into or out of the test split since the current release",
    "reencoded": "Re-encoded without loss",
    "ignored": "Ignored",
}
"""Kinds of findings (`components/data/accounting.py`) and their titles, most important first."""

_TEMPLATE = Path(__file__).with_name("report.html.j2")


def write(verdict: Verdict, directory: Path) -> None:
    """Writes `report.html`; pictures (`samples.png` and `preview.png` too) are inside it, so that
    the file can be sent as it is."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["bar"] = lambda share: f"{100 * share:.0f}%"
    template = environment.from_string(_TEMPLATE.read_text())
    page = template.render(
        verdict=verdict,
        curves=learning_curves(verdict.models),
        preview=_inline_png(directory / "preview.png"),
        samples=_inline_png(directory / "samples.png"),
        confusions=_confusions(verdict),
        finding_titles=FINDINGS,
        finding_counts=_finding_counts(verdict.data),
    )
    atomic.write(directory / "report.html", page)


def learning_curves(models: dict) -> str:
    """Loss, accuracy and learning rate over epochs of both frameworks as inline SVG, or "" without
    a history."""
    histories = {name: model["history"] for name, model in models.items() if model.get("history")}
    if not histories:
        return ""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    for axes, metric in zip(panels, ("loss", "accuracy", "learning_rate")):
        for colour, (name, rows) in zip(("tab:orange", "tab:blue"), histories.items()):
            if metric == "learning_rate":
                # Both frameworks often have the same: neither line may hide the other.
                _curve(axes, rows, metric, colour, "--" if len(axes.lines) else "-", name)
            else:
                _curve(axes, rows, metric, colour, ":", f"{name} train")
                _curve(axes, rows, f"val_{metric}", colour, "-", f"{name} val")
        axes.set(xlabel="epoch", ylabel=metric.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
    if any(row.get("learning_rate") for rows in histories.values() for row in rows):
        panels[2].set_yscale("log")  # a schedule's end lies orders of magnitude below its start
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize="small"
    )
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def _curve(axes: Any, rows: list[dict], key: str, colour: str, style: str, label: str) -> None:
    """The rows that have the key; a single one as a point, for a line of one point is invisible."""
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    if points:
        marker = "o" if len(points) == 1 else None
        axes.plot(*zip(*points), colour, ls=style, marker=marker, label=label)


def _inline_png(path: Path) -> str:
    if not path.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _finding_counts(data: dict) -> dict[str, int]:
    """How many there are of each kind; the verdict lists the first hundred."""
    if not data:
        return {}
    return {
        "quarantined": data["quarantined"],
        "relabelled": data.get("relabelled", 0),
        "duplicate": data["duplicates"],
        "conflicting_label": data["conflicting_labels"],
        "near_duplicate": data["near_duplicates"],
        "moved": data.get("moved", 0),
        "reencoded": sum(data["reencoded"].values()),
        "ignored": data["ignored"],
    }


def _confusions(verdict: Verdict) -> dict[str, dict]:
    """Per model: class names, counts (rows are true classes) and each cell's share of its row."""
    found = {}
    for name, model in verdict.models.items():
        counts = (model.get("metrics") or {}).get("confusion_matrix")
        if counts and len(counts) <= 30:
            labels = list(model["metrics"]["per_class"])
            shares = [[n / max(1, sum(row)) for n in row] for row in counts]
            found[name] = {"labels": labels, "rows": list(zip(labels, counts, shares))}
    return found
