"""The table of accuracies in benchmarks/README.md, from the records of `benchmarks accuracy`."""

import dataclasses
import statistics
from collections.abc import Iterable

from benchmarks.ratios import mean_and_deviation


@dataclasses.dataclass(frozen=True)
class Reference:
    """What a preset is compared with: a share of the `split` (test or val), and its source."""

    accuracy: float
    split: str
    source: str


REFERENCES = {
    "cifar10": {
        "": Reference(0.733, "test", "tutorial in Keras, 36 epochs"),
    },
    "cifar10_small": {
        "": Reference(0.688, "test", "tutorial in PyTorch, 50 epochs"),
    },
    "mnist": {"": Reference(0.9909, "val", "tutorial, 20 epochs")},
    "mnist_tiny": {
        "keras": Reference(0.9748, "val", "tutorial, 10 epochs"),
        "torch": Reference(0.96, "test", "tutorial, about"),
    },
    "smiles_v1": {"": Reference(0.9030, "val", "16,000 of CelebA, 30 epochs")},
}
"""By preset, then framework ("" for both)."""
VARIANTS = {name: "smiles_v1" for name in ("smiles_v2", "smiles_v3", "smiles_v4")}
"""Presets, and the one of which the same framework's mean is their reference."""
GOALS = {"cifar10": 0.86, "cifar10_small": 0.78}  # test, within 50 epochs, both frameworks
_COLUMNS = (
    "preset", "framework", "epochs (kept)", "test accuracy", "mirrored", "validation", "seeds",
    "training", "images/s", "to beat",
)  # fmt: skip


def markdown(records: list[dict], recipes: dict[tuple[str, str], str], every: bool = False) -> str:
    """A row for each preset and framework, of its recipe in `recipes` (where that has not been
    measured, of the latest, and the row says so), or of each recipe with `every`; the machines."""
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    groups = grouped(records, None if every else recipes)
    own = {
        (group[0]["preset"], group[0]["framework"]): group for group in grouped(records, recipes)
    }
    for group in groups:
        key = group[0]["preset"], group[0]["framework"]
        title = f"`{key[0]}`"
        if group[0]["recipe"] != recipes.get(key):
            title += " (another recipe)"
        lines.append(_line([title, *_row(group, own.get((VARIANTS.get(key[0]), key[1])))]))
    machines = sorted({_machine(record) for group in groups for record in group})
    return "\n".join([*lines, "", f"Measured on: {'; '.join(machines) or 'nothing yet'}."])


def grouped(
    records: list[dict], recipes: dict[tuple[str, str], str] | None = None
) -> list[list[dict]]:
    """Records of the same preset, framework and recipe; with `recipes` of that one alone, or of the
    one measured last, and presets in that order. A seed counts once, by its last record."""
    presets = [preset for preset, _ in recipes or ()] + [record["preset"] for record in records]
    presets = list(dict.fromkeys(presets))
    groups: dict[tuple, dict[int, dict]] = {}
    for record in records:
        key = (presets.index(record["preset"]), record["framework"], record["recipe"])
        seeds = groups.pop(key, {})
        groups[key] = seeds | {record["seed"]: record}  # at the end: measured last
    if recipes is not None:
        shown = {}
        for key in groups:  # in the order of measuring
            wanted = (*key[:2], recipes.get((presets[key[0]], key[1])))
            shown[key[:2]] = wanted if wanted in groups else key
        groups = {key: groups[key] for key in shown.values()}
    return [list(groups[key].values()) for key in sorted(groups, key=lambda key: key[:2])]


def _row(group: list[dict], variant_of: list[dict] | None) -> list[str]:
    """The cells after the preset's; `variant_of` holds the records that are a variant's
    reference."""

    def median(key: str) -> float:
        return statistics.median(record[key] for record in group)

    mirrored = [record["mirrored"] for record in group if record["mirrored"] is not None]
    cost = [record["mirrored_seconds"] for record in group if record["mirrored"] is not None]
    return [
        group[0]["framework"],
        f"{median('epochs'):.0f} ({statistics.median(_kept(group)):.0f})",
        _spread([record["accuracy"] for record in group]),
        f"{_spread(mirrored)} (+{statistics.median(cost):.1f} s)" if mirrored else "",
        _spread([record["val_accuracy"] for record in group]),
        str(len(group)),
        _duration(median("seconds")),
        f"{median('images_per_second'):,.0f}",
        _to_beat(group, variant_of),
    ]


def _kept(group: list[dict]) -> list[int]:
    """Which epoch's weights were kept, of each record."""
    return [record["result"]["best_epoch"] for record in group]


def _to_beat(group: list[dict], variant_of: list[dict] | None) -> str:
    """Reference and goal, each with how far the mean lies above it (or below), in points."""
    preset, framework = group[0]["preset"], group[0]["framework"]
    test = statistics.mean(record["accuracy"] for record in group)
    validation = statistics.mean(record["val_accuracy"] for record in group)
    found, parts = REFERENCES.get(preset, {}), []
    if reference := found.get(framework, found.get("")):
        ours = test if reference.split == "test" else validation
        split = "" if reference.split == "test" else " validation"
        parts.append(
            f"{reference.accuracy:.2%}{split} ({reference.source}): "
            f"{100 * (ours - reference.accuracy):+.2f}"
        )
    if variant_of:
        theirs = statistics.mean(record["accuracy"] for record in variant_of)
        name = variant_of[0]["preset"]
        parts.append(f"{theirs:.2%} (`{name}`, same framework): {100 * (test - theirs):+.2f}")
    if goal := GOALS.get(preset):
        parts.append(f"goal {goal:.0%}: {100 * (test - goal):+.2f}")
    return "; ".join(parts)


def _spread(values: list[float]) -> str:
    mean, deviation = mean_and_deviation(values)
    return f"{mean:.2%}" if deviation is None else f"{mean:.2%} ± {100 * deviation:.2f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _machine(record: dict) -> str:
    """Such as `cpu, 2 threads (bfloat16 by amx_bf16)`."""
    units = record["machine"]["bfloat16"]
    return f"{record['result']['device']} ({', '.join(units) or 'no bfloat16 units'})"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
