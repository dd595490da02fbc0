"""The report's figures, by matplotlib as inline SVG that takes its colours from the page.

Every colour is a CSS variable of templates/style.css and the background is transparent, so that one
figure is readable in light and dark; its words are text in the page's font.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHADES = {
    "ink": "#010101", "quiet": "#020202", "line": "#030303", "keras": "#040404", "torch": "#050505",
}  # fmt: skip
"""What matplotlib draws in, which becomes a variable: no figure has these near blacks otherwise."""

_RIGHT, _WRONG = (0.18, 0.60, 0.34), (0.86, 0.27, 0.22)  # on white and on black alike
CELLS = 250
"""Rows of a heat map at most; of more classes each cell is the worst of several."""


def learning_curves(models: dict[str, Any]) -> list[str]:
    """Loss, accuracy and learning rate over epochs of both frameworks, each a figure; none without
    a history."""
    histories = {name: model["history"] for name, model in models.items() if model.get("history")}
    titles = {"loss": "loss", "accuracy": "accuracy", "learning_rate": "learning rate"}
    return [_curves(histories, metric, words) for metric, words in titles.items() if histories]


def _curves(histories: dict[str, list[dict]], metric: str, title: str) -> str:
    from matplotlib.ticker import MaxNLocator

    with _figure(3.7, 2.8) as figure:
        axes = figure.subplots()
        for name, rows in histories.items():
            if metric == "learning_rate":
                # Both frameworks often have the same: neither line may hide the other.
                _curve(axes, rows, metric, _SHADES[name], "--" if len(axes.lines) else "-")
            else:
                _curve(axes, rows, metric, _SHADES[name], ":")
                _curve(axes, rows, f"val_{metric}", _SHADES[name], "-")
        rates = [row.get("learning_rate") for rows in histories.values() for row in rows]
        if metric == "learning_rate" and any(rates):
            axes.set_yscale("log")  # a schedule's end lies orders of magnitude below its start
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _svg(figure, f"{title} of {' and '.join(histories)} over the epochs")


def _curve(axes: "Axes", rows: list[dict], key: str, colour: str, style: str) -> None:
    """The rows that have the key; a single one as a point, for a line of one point is invisible."""
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    if points:
        axes.plot(*zip(*points), colour, ls=style, marker="o" if len(points) == 1 else None)


def reliability(framework: str, bins: list[dict]) -> str:
    """The reliability diagram of `calibration_error`'s bins: how often answers of a confidence are
    right, beside the diagonal on which they should lie; below, how many answers there are."""
    filled = [row for row in bins if row["count"]]
    with _figure(3.7, 3.7) as figure:
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        middles = [(row["low"] + row["high"]) / 2 for row in filled]
        wide, colour = 0.9 / max(1, len(bins)), _SHADES[framework]
        axes.plot([0, 1], [0, 1], color=_SHADES["quiet"], ls="--", lw=1)
        axes.bar(middles, [row["accuracy"] for row in filled], wide, color=colour, alpha=0.55)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share of right answers")
        counts.bar(middles, [row["count"] for row in filled], wide, color=_SHADES["quiet"])
        counts.set(xlabel="confidence", ylabel="answers")
        return _svg(figure, f"Reliability diagram of {framework}: accuracy by confidence")


def heat_map(framework: str, labels: list[str], counts: np.ndarray) -> str:
    """A confusion matrix, int (classes, classes), as a picture: rows are true classes, each
    coloured by its shares, right answers green and wrong ones red."""
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    with _figure(4.8, 4.8) as figure:
        axes = figure.subplots()
        axes.imshow(cells(shares), interpolation="none", extent=(0, len(labels), len(labels), 0))
        ticks = np.unique(np.linspace(0, len(labels) - 1, 12).round().astype(int))
        names = [_short(labels[tick]) for tick in ticks]
        axes.set_xticks(ticks + 0.5, names, rotation=90)
        axes.set_yticks(ticks + 0.5, names)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.spines[["top", "right"]].set_visible(True)
        return _svg(figure, f"Confusion matrix of {framework}, {len(labels)} classes")


def cells(shares: np.ndarray) -> np.ndarray:
    """The picture of a matrix of shares, float (classes, classes), as RGBA, 0 to 1. Of more than
    `CELLS` classes each cell stands for several: for the largest share of them that is wrong or,
    on the diagonal and where none is, for the smallest one that is right."""
    classes = len(shares)
    step = -(-classes // CELLS)
    size = -(-classes // step)
    wrong, right = np.zeros((size * step, size * step)), np.ones(size * step)
    wrong[:classes, :classes] = shares
    np.fill_diagonal(wrong, 0)
    right[:classes] = shares.diagonal()
    worst = wrong.reshape(size, step, size, step).max(axis=(1, 3))
    own = np.diag(right.reshape(size, step).min(axis=1))
    good = np.eye(size, dtype=bool) & (worst == 0)
    # By the square root, for a class that loses a twentieth to another shall be seen.
    alpha = np.sqrt(np.where(good, own, worst))[..., None]
    return np.concatenate([np.where(good[..., None], _RIGHT, _WRONG), alpha], axis=2)


def _short(name: str) -> str:
    """A name of at most fourteen characters that can be drawn, `$` not taken for mathematics."""
    printable = "".join(c if c.isprintable() else "?" for c in name)
    return (printable if len(printable) <= 14 else f"{printable[:13]}…").replace("$", r"\$")


@contextmanager
def _figure(width: float, height: float) -> Iterator["Figure"]:
    """A figure of that many inches, in the page's colours."""
    import matplotlib
    from matplotlib.figure import Figure

    ink, quiet, line = _SHADES["ink"], _SHADES["quiet"], _SHADES["line"]
    style = {
        "svg.fonttype": "none", "text.color": ink, "axes.labelcolor": quiet, "axes.edgecolor": line,
        "xtick.color": line, "ytick.color": line, "xtick.labelcolor": quiet,
        "ytick.labelcolor": quiet, "axes.facecolor": "none", "axes.spines.top": False,
        "axes.spines.right": False, "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        yield Figure(figsize=(width, height), layout="constrained", facecolor="none")


def _svg(figure: "Figure", words: str) -> str:
    """The drawing alone: without a size, for the page sets it, without what would make a second
    figure clash with it, and with `words` for those who do not see it."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Letters that matplotlib's font lacks: they are measured with it, and drawn by the browser.
        warnings.simplefilter("ignore")
        figure.savefig(buffer, format="svg")
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None, "matplotlib writes one"
    for name, shade in _SHADES.items():
        svg = svg.replace(shade, f"var(--{name})")
    names = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = f'<svg role="img" aria-label="{words}" {view[0]} {names}>'
    return head + svg[svg.index(">") + 1 :]
